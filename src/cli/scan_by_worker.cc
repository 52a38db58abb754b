#include "cli/arguments.h"
#include "cli/output.h"
#include "egress/worker_program.h"

namespace stockade::cli {

int scan_by_worker(char** argv) {
  const auto program = egress::WorkerProgram::find();
  const Error error = program ? program->become(argv) : program.error();
  print_error(error);
  return 2;
}

}  // namespace stockade::cli
