#include "model/recognise.h"

#include "model/json_value.h"

namespace stockade::model {

namespace {

std::string lowered(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

// What the outermost object has, as far as its bytes are there.
class TopKeys {
 public:
  explicit TopKeys(std::string_view body) : body_(body) {
    // An error behind the keys that are there is the reader's to report.
    (void)cursor_.read(body);
  }
  const JsonNode* find(std::string_view name) const {
    const auto& nodes = cursor_.nodes();
    if (nodes.empty() || nodes[0].type != JsonType::object) return nullptr;
    for (uint32_t key = 1; key < nodes.size();) {
      const JsonNode& node = nodes[key];
      if (node.end == node.begin || node.next == kNoNode) return nullptr;
      const JsonNode& value = nodes[node.next];
      std::string decoded;
      if (decode_json_string(body_.substr(node.begin + 1, node.end - node.begin - 2), decoded) &&
          lowered(decoded) == name)
        return &value;
      if (value.next == kNoNode) return nullptr;
      key = value.next;
    }
    return nullptr;
  }
  bool has(std::string_view name) const { return find(name) != nullptr; }
  bool has(std::string_view name, JsonType type) const {
    const JsonNode* node = find(name);
    return node && node->type == type;
  }

 private:
  std::string_view body_;
  JsonCursor cursor_;
};

std::string_view without_query(std::string_view path) {
  path = path.substr(0, path.find_first_of("?#"));
  while (path.size() > 1 && path.ends_with('/')) path.remove_suffix(1);
  return path;
}

bool ends_with_one_of(std::string_view path, std::initializer_list<std::string_view> ends) {
  for (const std::string_view end : ends)
    if (path.ends_with(end)) return true;
  return false;
}

Recognised by_shape(std::string_view path, const TopKeys& keys) {
  const bool streams = keys.has("stream", JsonType::true_value);
  const bool messages = keys.has("messages", JsonType::array);
  if (ends_with_one_of(path, {"/responses", "/responses/compact", "/responses/input_tokens"})) {
    if (keys.has("input") || keys.has("prompt") || keys.has("previous_response_id") || keys.has("instructions"))
      return {.api = Api::openai_responses, .streams = streams, .counts_only = path.ends_with("/input_tokens")};
  } else if (path.ends_with("/chat/completions")) {
    if (messages) return {.api = Api::openai_chat, .streams = streams};
  } else if (ends_with_one_of(path, {"/messages", "/messages/count_tokens"})) {
    if (messages && (keys.has("model") || keys.has("max_tokens")))
      return {.api = Api::anthropic_messages, .streams = streams, .counts_only = path.ends_with("/count_tokens")};
  } else if (ends_with_one_of(path, {":rawpredict", ":streamrawpredict", "/invoke", "/invoke-with-response-stream"})) {
    if (messages && keys.has("anthropic_version", JsonType::string))
      return {.api = Api::anthropic_messages,
              .streams = streams || path.ends_with(":streamrawpredict"),
              .streams_binary = path.ends_with("/invoke-with-response-stream")};
  } else if (ends_with_one_of(path, {":generatecontent", ":streamgeneratecontent", ":counttokens"})) {
    if (keys.has("contents") || keys.has("generatecontentrequest") || keys.has("generate_content_request"))
      return {.api = Api::gemini,
              .streams = path.ends_with(":streamgeneratecontent"),
              .counts_only = path.ends_with(":counttokens")};
  } else if (path.ends_with("/api/chat")) {
    if (messages && keys.has("model", JsonType::string))
      return {.api = Api::ollama_chat, .streams = !keys.has("stream", JsonType::false_value)};
  } else if (path.ends_with("/api/generate")) {
    if (keys.has("model", JsonType::string) && (keys.has("prompt") || keys.has("system") || keys.has("images")))
      return {.api = Api::ollama_generate, .streams = !keys.has("stream", JsonType::false_value)};
  }
  return {};
}

}  // namespace

Recognised recognise(const RequestShape& request) {
  const std::string path = lowered(without_query(request.path));
  if (lowered(request.upgrade) == "websocket") {
    if (request.method == "GET" && path.ends_with("/responses"))
      return {.api = Api::openai_responses, .streams = true, .websocket = true};
    return {};
  }
  // The content type decides nothing: servers read JSON whatever it is called, and what is no JSON has no keys.
  if (request.method != "POST") return {};
  return by_shape(path, TopKeys(request.body));
}

Framing response_framing(const Recognised& request, std::string_view content_type) {
  if (request.websocket) return Framing::message;
  std::string type = lowered(content_type.substr(0, content_type.find(';')));
  while (!type.empty() && type.back() == ' ') type.pop_back();
  if (type == "text/event-stream") return Framing::sse;
  if (type == "application/x-ndjson" || type == "application/jsonl" || type == "application/jsonlines")
    return Framing::json_lines;
  if (request.api == Api::gemini && request.streams && type == "application/json") return Framing::json_array;
  return Framing::body;
}

}  // namespace stockade::model
