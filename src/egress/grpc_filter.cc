#include "egress/grpc_filter.h"

#include <fmt/format.h>

#include "net/content_coding.h"
#include "net/grpc_message.h"

namespace stockade::egress {

namespace {

class GrpcFilter final : public BodyFilter {
 public:
  GrpcFilter(std::string encoding, MessageJudge::Means means) : encoding_(std::move(encoding)), judge_(means) {}

  Result<Passed> feed(std::string_view bytes, bool end) override {
    Passed passed;
    while (!bytes.empty()) {
      STOCKADE_ASSIGN(const size_t taken, reader_.feed(bytes));
      bytes.remove_prefix(taken);
      if (!reader_.has_message()) continue;
      const net::GrpcMessage message = reader_.take_message();
      STOCKADE_ASSIGN(const std::string text, decoded(message));
      for (ContentFinding& finding : judge_.judge(text, false)) passed.findings.push_back(std::move(finding));
      net::write_grpc_message(passed.bytes, message);
    }
    if (end) STOCKADE_TRY(reader_.finish());
    return passed;
  }

  size_t held() const override { return reader_.held(); }

  std::optional<BodyPiece> last_words(const net::Refusal& refusal) override {
    BodyPiece piece;
    piece.end = true;
    piece.trailers = net::grpc_refusal_fields(refusal.message, "deny; event=" + refusal.event);
    return piece;
  }

 private:
  Result<std::string> decoded(const net::GrpcMessage& message) const {
    if (!message.compressed) return message.payload;
    if (encoding_.empty()) return fail(ErrorKind::protocol, "gRPC: a compressed message without a grpc-encoding");
    STOCKADE_ASSIGN(const auto codings, net::parse_content_codings(encoding_));
    if (codings.empty()) return message.payload;
    STOCKADE_ASSIGN(auto decoder, net::ContentDecoder::make(codings));
    std::string text;
    STOCKADE_TRY(decoder.decode(message.payload, text));
    STOCKADE_TRY(decoder.finish());
    return text;
  }

  std::string encoding_;
  net::GrpcReader reader_;
  MessageJudge judge_;
};

}  // namespace

bool is_grpc(const std::vector<net::HttpField>& fields) {
  const net::HttpField* type = net::find_field(fields, "content-type");
  return type && net::is_grpc_content_type(type->value);
}

net::ResponseHead grpc_refusal(const net::Refusal& refusal) {
  const bool denied = refusal.status == net::RefusalStatus::forbidden;
  net::ResponseHead head;
  head.status = 200;
  head.reason = "OK";
  head.fields = denied ? net::grpc_refusal_fields(refusal.message, "deny; event=" + refusal.event)
                       : net::grpc_status_fields(net::GrpcStatus::unavailable, refusal.message);
  head.fields.insert(head.fields.begin(), {"content-type", "application/grpc"});
  return head;
}

std::unique_ptr<BodyFilter> grpc_filter(const std::vector<net::HttpField>& fields, MessageJudge::Means means) {
  const net::HttpField* encoding = net::find_field(fields, "grpc-encoding");
  return std::make_unique<GrpcFilter>(encoding ? encoding->value : std::string(), means);
}

}  // namespace stockade::egress
