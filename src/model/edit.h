// Edits of a whole request or response: remove offered tools, replace texts, refuse tool calls. Each takes a body and
// happenings that were read from this very body, changes only their own bytes, and leaves what the API's client or
// server accepts: a tool_choice that names a removed tool becomes "auto", an emptied list of tools goes with what
// depends on it, and a stop reason that announced only refused calls becomes an ordinary one. Streams: stream_edit.h.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "model/happening.h"
#include "model/json_edit.h"

namespace stockade::model {

// `offers`: offered_tool happenings, or the fetched_url of a remote MCP server, which goes with its tools.
Result<std::string> remove_tools(Api api, std::string_view body, const std::vector<Happening>& offers);

struct TextReplacement {
  ByteRange range;   // of a text's happening
  std::string text;  // what stands there afterwards, not yet quoted
};
// In a body, or in the data of one event.
Result<std::string> replace_texts(std::string_view json, const std::vector<TextReplacement>& replacements);

// `calls`: tool_call happenings of a response that was not streamed. Where the API has a place for it, `notice` stands
// as the model's text instead of the call, so that the next turn knows; empty: nothing does.
Result<std::string> refuse_calls(Api api, std::string_view body, const std::vector<Happening>& calls,
                                 std::string_view notice);

// ---- for stream_edit.cc, which does the same to events

// A member by any spelling that the API's readers take, as Walk::member finds it.
JsonValue member_of(Api api, JsonValue object, std::string_view name);
// The model's text in a message (Chat, Ollama) gets `notice` behind it.
void add_notice(JsonEdit& edit, Api api, JsonValue message, std::string_view notice);
std::string text_block(Api api, std::string_view notice, uint32_t index);
// A finish or stop reason that announced tool calls, none of which is left.
void tidy_reason(JsonEdit& edit, Api api, JsonValue reason);

}  // namespace stockade::model
