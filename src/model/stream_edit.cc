#include "model/stream_edit.h"

#include <algorithm>

#include "model/edit.h"
#include "model/walk.h"

namespace stockade::model {

namespace {

uint32_t number_of(JsonValue value, uint32_t otherwise = 0) {
  return static_cast<uint32_t>(std::min<uint64_t>(value.number().value_or(otherwise), 0xffff));
}

}  // namespace

void StreamEditor::refuse(const Happening& of_the_call) {
  refused_.insert(of_the_call.item);
  if (!of_the_call.id.empty()) refused_ids_.insert(of_the_call.id);
  if (api_ == Api::gemini || api_ == Api::ollama_chat) ranges_[of_the_call.event].push_back(of_the_call.range);
}

uint32_t StreamEditor::dropped_before(const Item& item) const {
  return static_cast<uint32_t>(std::ranges::count_if(
      refused_, [&](const Item& one) { return one.choice == item.choice && one.index < item.index; }));
}

bool StreamEditor::any_call_left(uint32_t choice) const {
  for (const auto& [item, call] : reader_->state().calls)
    if (item.choice == choice && !call.hosted && !refused_.contains(item)) return true;
  return false;
}

std::vector<std::string> StreamEditor::edited(const StreamEvent& event, const JsonEdit& edit) const {
  if (edit.empty()) return {framing_ == Framing::message ? event.data : event.raw};
  return {with_data(event, framing_, edit.apply())};
}

Result<std::vector<std::string>> StreamEditor::write(const StreamEvent& event) {
  if (refused_.empty() || event.data.empty() || event.data == "[DONE]") return std::vector{event.raw};
  STOCKADE_TRY(document_.read(event.data));
  JsonEdit edit(document_);
  switch (api_) {
    case Api::anthropic_messages:
      return write_anthropic(event, edit);
    case Api::openai_responses:
      return write_responses(event, edit);
    case Api::openai_chat:
      edit_chat(edit);
      break;
    case Api::gemini:
      edit_gemini(event, edit);
      break;
    case Api::ollama_chat:
    case Api::ollama_generate:
      edit_ollama(event, edit);
      break;
    case Api::none:
      return fail(ErrorKind::internal, "a stream of no model API");
  }
  return edited(event, edit);
}

std::vector<std::string> StreamEditor::write_anthropic(const StreamEvent& event, JsonEdit& edit) {
  const JsonValue root = document_.root();
  const JsonValue type = root["type"], index = root["index"];
  if (type.equals("message_delta") && !any_call_left(0)) tidy_reason(edit, api_, root["delta"]["stop_reason"]);
  if (!index) return edited(event, edit);
  const Item item{0, number_of(index), 0};
  // What a hosted call brought back goes with it.
  if (const JsonValue of = root["content_block"]["tool_use_id"])
    if (const auto id = of.text().decode(); id && refused_ids_.contains(*id)) refused_.insert(item);
  if (!refused_.contains(item)) {
    // With a notice each refused block has a text block in its place.
    const uint32_t moved = item.index - (notice_.empty() ? dropped_before(item) : 0);
    if (moved != item.index) edit.replace(index, std::to_string(moved));
    return edited(event, edit);
  }
  if (notice_.empty()) return {};
  if (type.equals("content_block_stop")) return edited(event, edit);
  if (!type.equals("content_block_start")) return {};
  return {frame_event(framing_, "content_block_start",
                      fmt::format(R"({{"type":"content_block_start","index":{},"content_block":{}}})", item.index,
                                  text_block(api_, "", 0))),
          frame_event(
              framing_, "content_block_delta",
              fmt::format(R"({{"type":"content_block_delta","index":{},"delta":{{"type":"text_delta","text":{}}}}})",
                          item.index, json_quoted(notice_)))};
}

// The events of a message that says the notice.
std::vector<std::string> StreamEditor::notice_item(uint32_t index, uint64_t& sequence) const {
  const std::string text = json_quoted(notice_);
  const std::string place =
      fmt::format(R"("item_id":"msg_stockade_{}","output_index":{},"content_index":0)", index, index);
  const auto part = [](std::string_view said) {
    return fmt::format(R"("part":{{"type":"output_text","text":{},"annotations":[]}})", said);
  };
  const std::pair<const char*, std::string> events[] = {
      {"response.output_item.added",
       fmt::format(R"("output_index":{},"item":{{"id":"msg_stockade_{}","type":"message","status":"in_progress",)"
                   R"("role":"assistant","content":[]}})",
                   index, index)},
      {"response.content_part.added", place + "," + part("\"\"")},
      {"response.output_text.delta", fmt::format(R"({},"delta":{},"logprobs":[])", place, text)},
      {"response.output_text.done", fmt::format(R"({},"text":{},"logprobs":[])", place, text)},
      {"response.content_part.done", place + "," + part(text)},
      {"response.output_item.done",
       fmt::format(R"("output_index":{},"item":{})", index, text_block(api_, notice_, index))}};
  std::vector<std::string> out;
  for (const auto& [name, rest] : events)
    out.push_back(frame_event(framing_, framing_ == Framing::sse ? name : "",
                              fmt::format(R"({{"type":"{}","sequence_number":{},{}}})", name, sequence++, rest)));
  return out;
}

std::vector<std::string> StreamEditor::write_responses(const StreamEvent& event, JsonEdit& edit) {
  const JsonValue root = document_.root();
  const JsonValue index = root["output_index"], sequence = root["sequence_number"];
  const uint64_t number = static_cast<uint64_t>(static_cast<int64_t>(sequence.number().value_or(0)) + sequence_shift_);
  if (index) {
    const Item item{0, number_of(index), 0};
    if (refused_.contains(item)) {
      --sequence_shift_;
      if (notice_.empty() || !told_.insert(item).second) return {};
      uint64_t next = number;
      std::vector<std::string> out = notice_item(item.index, next);
      sequence_shift_ += static_cast<int64_t>(next - number);
      return out;
    }
    const uint32_t moved = item.index - (notice_.empty() ? dropped_before(item) : 0);
    if (moved != item.index) edit.replace(index, std::to_string(moved));
  }
  // An item that came whole and without an index.
  if (const JsonValue item = root["item"]; item && !index) {
    const auto id = item["call_id"].text().decode();
    if (id && refused_ids_.contains(*id)) {
      if (notice_.empty()) return {};
      edit.replace(item, text_block(api_, notice_, 0));
    }
  }
  if (sequence && sequence_shift_ != 0) edit.replace(sequence, std::to_string(number));
  uint32_t at = 0;
  for (JsonValue item = root["response"]["output"].first(); item; item = item.next(), ++at) {
    if (!refused_.contains({0, at, 0})) continue;
    if (notice_.empty()) {
      edit.remove(item);
    } else {
      edit.replace(item, text_block(api_, notice_, at));
    }
  }
  return edited(event, edit);
}

void StreamEditor::edit_chat(JsonEdit& edit) {
  uint32_t ordinal = 0;
  for (JsonValue choice = document_.root()["choices"].first(); choice; choice = choice.next(), ++ordinal) {
    const uint32_t at = number_of(choice["index"], ordinal);
    const JsonValue delta = choice["delta"], list = delta["tool_calls"];
    std::string notice;
    const auto drop = [&](JsonValue call, const Item& item) {
      edit.remove(call);
      if (told_.insert(item).second) notice = notice_;
    };
    for (JsonValue call = list.first(); call; call = call.next()) {
      Item item{at, number_of(call["index"]), 0};
      const bool has_index = call["index"].number().has_value();
      if (!has_index) {
        // A gateway without indexes sends each call at once, with its id.
        const auto& calls = reader_->state().calls;
        const auto known = std::ranges::find_if(calls, [&](const auto& one) {
          return one.first.choice == at && one.first.index != kOldFunctionCall && call["id"].equals(one.second.id);
        });
        if (known != calls.end()) item = known->first;
      }
      if (refused_.contains(item)) {
        drop(call, item);
      } else if (const uint32_t before = dropped_before(item); before > 0 && has_index) {
        edit.replace(call["index"], std::to_string(item.index - before));
      }
    }
    if (list.size() > 0 && edit.left_in(list) == 0) edit.remove(list);
    if (const JsonValue old = delta["function_call"]; old.is_object())
      for (const Item& item : refused_)
        if (item.choice == at && item.index == kOldFunctionCall) drop(old, item);
    add_notice(edit, api_, delta, notice);
    if (!any_call_left(at)) tidy_reason(edit, api_, choice["finish_reason"]);
  }
}

void StreamEditor::edit_gemini(const StreamEvent& event, JsonEdit& edit) {
  const auto found = ranges_.find(event.index);
  if (found == ranges_.end()) return;
  const auto member = [&](JsonValue object, std::string_view name) { return member_of(api_, object, name); };
  const JsonValue candidates = member(document_.root(), "candidates");
  for (JsonValue candidate = candidates.first(); candidate; candidate = candidate.next()) {
    const JsonValue parts = member(member(candidate, "content"), "parts");
    bool told = false;
    for (JsonValue part = parts.first(); part; part = part.next()) {
      const bool refused =
          std::ranges::any_of(found->second, [&](const ByteRange& range) { return part.range().contains(range); });
      if (!refused) continue;
      const JsonValue call = member(part, "functionCall");
      const bool first = !call || member(call, "name");
      const bool last_one = edit.left_in(parts) == 1;
      if (first && !notice_.empty() && !told) {
        edit.replace(part, text_block(api_, notice_, 0));
        told = true;
      } else if (last_one) {
        edit.replace(part, text_block(api_, "", 0));  // libraries want a part
      } else {
        edit.remove(part);
      }
    }
  }
}

void StreamEditor::edit_ollama(const StreamEvent& event, JsonEdit& edit) {
  const auto found = ranges_.find(event.index);
  if (found == ranges_.end()) return;
  const JsonValue message = member_of(api_, document_.root(), "message");
  const JsonValue list = member_of(api_, message, "tool_calls");
  for (const ByteRange& range : found->second)
    if (const JsonValue call = find_range(document_, range); call && call.parent().id() == list.id()) edit.remove(call);
  if (list.size() > 0 && edit.left_in(list) == 0) edit.remove(list);
  if (list && edit.left_in(list) < list.size()) add_notice(edit, api_, message, notice_);
}

}  // namespace stockade::model
