#include "egress/websocket_filter.h"

#include "net/websocket.h"

namespace stockade::egress {

namespace {

constexpr std::string_view kExtensions = "sec-websocket-extensions";

class WebSocketFilter final : public BodyFilter {
 public:
  WebSocketFilter(net::WebSocketSender sender, const std::optional<net::WebSocketDeflateOptions>& deflate,
                  MessageJudge::Means means)
      : judge_(means) {
    if (deflate) inflater_ = std::make_unique<net::WebSocketInflater>(*deflate);
    reader_.emplace(sender, net::WebSocketLimits{}, inflater_.get());
  }

  // A connection that breaks off without a close frame is the peers' own business.
  Result<Passed> feed(std::string_view bytes, bool) override {
    Passed passed;
    while (!bytes.empty() && !reader_->closed()) {
      STOCKADE_ASSIGN(const size_t taken, reader_->feed(bytes));
      held_ += bytes.substr(0, taken);
      bytes.remove_prefix(taken);
      if (!reader_->has_message()) continue;
      const net::WebSocketMessage message = reader_->take_message();
      auto findings = judge_.judge(message.payload, message.opcode == net::WebSocketOpcode::text);
      for (ContentFinding& finding : findings) passed.findings.push_back(std::move(finding));
      if (reader_->in_message()) continue;  // a ping between two fragments goes with them
      passed.bytes += held_;
      held_.clear();
    }
    return passed;
  }

  size_t held() const override { return held_.capacity() + reader_->held(); }

  // To the agent: a server's frame.
  std::optional<BodyPiece> last_words(const net::Refusal& refusal) override {
    BodyPiece piece;
    piece.end = true;
    net::write_websocket_close(piece.bytes, net::WebSocketClose::policy_violation, refusal.message, std::nullopt);
    return piece;
  }

 private:
  std::unique_ptr<net::WebSocketInflater> inflater_;
  std::optional<net::WebSocketReader> reader_;
  MessageJudge judge_;
  std::string held_;  // frames of the message that is not whole yet
};

net::WebSocketDeflateOptions inflate_options(uint8_t window_bits, bool no_context_takeover) {
  net::WebSocketDeflateOptions options;
  options.window_bits = window_bits;
  options.context_takeover = !no_context_takeover;
  return options;
}

}  // namespace

Result<void> limit_websocket_offer(net::RequestHead& request) {
  STOCKADE_ASSIGN(const net::WebSocketOffer offer, net::read_websocket_offer(request));
  const auto deflate = net::choose_deflate_offer(offer.extensions);
  std::erase_if(request.fields, [](const net::HttpField& field) {
    return net::equals_ignoring_case(field.name, kExtensions);
  });
  if (deflate) request.fields.push_back({"Sec-WebSocket-Extensions", net::write_deflate_offer(*deflate)});
  return {};
}

Result<WebSocketFilters> websocket_filters(const net::RequestHead& request, const net::ResponseHead& response,
                                           MessageJudge::Means out, MessageJudge::Means in) {
  STOCKADE_ASSIGN(const net::WebSocketOffer offer, net::read_websocket_offer(request));
  const auto deflate = net::choose_deflate_offer(offer.extensions);
  STOCKADE_ASSIGN(const net::WebSocketAgreement agreed, net::read_websocket_answer(response, offer, deflate));
  std::optional<net::WebSocketDeflateOptions> client, server;
  if (agreed.deflate) {
    client = inflate_options(agreed.deflate->client_max_window_bits.value_or(15),
                             agreed.deflate->client_no_context_takeover);
    server = inflate_options(agreed.deflate->server_max_window_bits, agreed.deflate->server_no_context_takeover);
  }
  WebSocketFilters filters;
  filters.to_server = std::make_unique<WebSocketFilter>(net::WebSocketSender::client, client, out);
  filters.to_agent = std::make_unique<WebSocketFilter>(net::WebSocketSender::server, server, in);
  return filters;
}

}  // namespace stockade::egress
