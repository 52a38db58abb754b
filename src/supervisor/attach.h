// One attachment, from its target to its record: the firewall and the monitor put on something that already runs. The
// inspector, dialer, sealer, log, limits and control socket are those of a run; the network is taken over
// (net/takeover.h) where a run makes its own. Of the policy, `network` and `limits` apply.
//
// Order: target looked at, refused if it could undo it → directory and log → workers → takeover → listeners to the
// inspector → until the end → processes killed, if that is the end → network given back → record. Whatever ends this
// process, the network is given back by the kernel; until it does, nothing of the target's passes.
//
// A worker that dies opens nothing: the target stays cut off until a person detaches, for whoever sits in it may have
// killed the worker (Loss says otherwise). One thread; every task lives in the loop.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "policy/layer.h"
#include "supervisor/attach_target.h"
#include "supervisor/run.h"

namespace stockade::supervisor {

// What follows when a worker of ours dies, or the log can't be written.
enum class Loss {
  cut,     // the target has no network until somebody detaches
  kill,    // its processes are killed, as a run's are
  detach,  // it gets its network back
};

struct AttachSettings {
  policy::Layered layered;
  Places places;
  std::string name;
  AttachTarget target;
  Loss loss = Loss::cut;
  std::function<void(const std::string&)> say;  // to the person, while it lasts
};

// An error means that nothing was taken over. `exit_status`: 0 after a detach that was asked for, or the target's end.
Result<RunOutcome> attach_to_end(AttachSettings settings, const Clock& clock);

}  // namespace stockade::supervisor
