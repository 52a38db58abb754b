// What observer and mask keeper tell their supervisor: one bounded record for each refusal or restored mask, over a
// SOCK_SEQPACKET pair. The supervisor acknowledges each with one byte when it is in the log; the agent's call is
// answered only then. Text of the agent is escaped by the observer, so the supervisor handles printable bytes only.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace stockade::sandbox {

enum class NoticeKind : uint8_t {
  socket,  // as an event: wall data, kind "socket", subject `path`, decision deny
  mask,    // wall data, kind "mask", subject `path`, decision log: what was exchanged outside is masked again
};

struct ObserverNotice {
  NoticeKind kind = NoticeKind::socket;
  std::string path;    // as the agent spelled it, escaped
  std::string reason;  // ours
  bool operator==(const ObserverNotice&) const = default;
};

inline constexpr size_t kNoticePathLimit = 1024;
inline constexpr size_t kNoticeReasonLimit = 256;

std::string encode_notice(const ObserverNotice& notice);
Result<ObserverNotice> decode_notice(std::string_view bytes);

}  // namespace stockade::sandbox
