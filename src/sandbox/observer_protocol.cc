#include "sandbox/observer_protocol.h"

#include "base/wire.h"

namespace stockade::sandbox {

std::string encode_notice(const ObserverNotice& notice) {
  return WireWriter()
      .put(notice.kind)
      .put(std::string_view(notice.path).substr(0, kNoticePathLimit))
      .put(std::string_view(notice.reason).substr(0, kNoticeReasonLimit))
      .bytes();
}

Result<ObserverNotice> decode_notice(std::string_view bytes) {
  WireReader reader(bytes);
  ObserverNotice notice;
  notice.kind = reader.get_enum(NoticeKind::mask);
  notice.path = reader.get_string(kNoticePathLimit);
  notice.reason = reader.get_string(kNoticeReasonLimit);
  if (!reader.finished()) return fail(ErrorKind::protocol, "the observer sent a malformed notice");
  return notice;
}

}  // namespace stockade::sandbox
