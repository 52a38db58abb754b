// The worker program, `stockade-worker`: inspector and sealer with the libraries that they need (TLS, later the
// patterns of inspection), as a program beside `stockade`, so that a start of `stockade` does not pay for loading them
// (0.3 ms for TLS alone). A forked child becomes it: it keeps its descriptors, gets no environment, and confines itself
// before the first foreign byte, as a worker that is forked only does.
//
// It is opened, once and for all, when this is made, and executed by that descriptor (fexecve(3)); a program whose
// bytes somebody else could write is refused. Who must not wait for it until an agent runs, see is_within().
#pragma once

#include <string>
#include <vector>

#include "egress/egress_link.h"

namespace stockade::egress {

class WorkerProgram {
 public:
  // Beside this program, or in ../libexec/stockade.
  static Result<WorkerProgram> find();

  // The bodies of the workers of `policy`, which reaches them as text. The descriptors live in what is returned.
  Result<EgressLink::Workers> workers(const policy::Policy& policy) const;

  // This process becomes it, with its own environment; returns only with the reason why not.
  Error become(char** argv) const;

  // An agent that may write there could change the program before it is started.
  bool is_within(const std::vector<std::string>& trees) const;

 private:
  WorkerProgram(Fd file, std::string path) : file_(std::move(file)), path_(std::move(path)) {}
  Fd file_;
  std::string path_;  // real
};

}  // namespace stockade::egress
