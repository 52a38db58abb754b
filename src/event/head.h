// UserHead: what one person's runs share: the lock under which a run starts and ends, and the end of the run that ended
// last (`audit-head` in the user's state directory). Each log begins with that head, and each end names the end before
// it: the logs of finished runs are one chain, from which none can be taken out or shortened unseen.
#pragma once

#include <string>

#include "base/fd.h"
#include "event/event.h"

namespace stockade::event {

struct Head {
  std::string run;  // empty: no run has ended yet
  Digest hash{};    // of its last record
};

class UserHead {
 public:
  // Opens the file, or makes it empty.
  static Result<UserHead> open(int user_directory);

  // The lock is held until `unlock`, or until the process ends.
  Result<Head> lock_and_read();
  Result<void> write(const Head& head);
  void unlock();

 private:
  Fd file_;
};

}  // namespace stockade::event
