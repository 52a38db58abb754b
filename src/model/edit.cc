#include "model/edit.h"

#include <set>

#include "model/walk.h"

namespace stockade::model {

namespace {

std::string string_of(JsonValue value) { return value.text().decode().value_or(""); }

class ToolRemoval {
 public:
  ToolRemoval(Api api, const JsonDocument& document) : api_(api), document_(document), edit_(document) {}

  Result<void> remove(const Happening& offer) {
    JsonValue tool = find_range(document_, offer.range);
    if (!tool) return fail(ErrorKind::internal, "no tool at {} in this body", offer.pointer);
    if (offer.kind == HappeningKind::fetched_url) {
      if (offer.type != "mcp") return fail(ErrorKind::internal, "{} is no tool", offer.pointer);
      return remove_server(tool);
    }
    if (offer.kind != HappeningKind::offered_tool) return fail(ErrorKind::internal, "{} is no tool", offer.pointer);
    if (api_ == Api::anthropic_messages && offer.type == "mcp_toolset") remove_toolset(offer.name);
    remove_value(tool);
    return {};
  }

  std::string finish() {
    names_left();
    if (api_ == Api::gemini) {
      tidy_gemini();
    } else {
      tidy_choice("tool_choice", "tools");
      if (api_ == Api::openai_chat) tidy_choice("function_call", "functions");
    }
    return edit_.apply();
  }

 private:
  // The request itself, also where it comes wrapped (a WebSocket's message, countTokens).
  JsonValue root() const {
    const JsonValue outer = document_.root();
    for (const std::string_view wrapper : {"generateContentRequest", "response"})
      if (const JsonValue inner = member(outer, wrapper); inner.is_object()) return inner;
    return outer;
  }
  JsonValue member(JsonValue object, std::string_view name) const { return member_of(api_, object, name); }

  // Takes it out, and what is empty or useless without it.
  void remove_value(JsonValue value) {
    const JsonValue owner = value.parent();
    // A block of a message that adds a tool: a message may not become empty, so the block becomes a text.
    for (JsonValue block = owner; block; block = block.parent())
      if (member(block, "type").equals("tool_addition"))
        return edit_.replace(block, text_block(api_, "[a tool was removed here by policy]", 0));
    edit_.remove(value);
    if (owner.id() == root().id() || edit_.left_in(owner) > 0) return;
    if (owner.is_object()) return remove_value(owner);  // Gemini: {"googleSearch": {}}
    const JsonValue holder = owner.parent();
    if (holder.id() == root().id() || !member(holder, "type") || !owner.is_member()) return remove_value(owner);
    // Elsewhere an empty list may stay, but not in a namespace.
    if (member(holder, "type").equals("namespace")) remove_value(holder);
  }

  // The tool, or the entry of mcp_servers, around a server's URL.
  Result<void> remove_server(JsonValue url) {
    JsonValue entry = url;
    while (entry.parent() && !entry.parent().is_array()) entry = entry.parent();
    if (!entry.parent()) return fail(ErrorKind::internal, "no server around {}", url.pointer());
    if (api_ == Api::anthropic_messages) {
      const std::string name = string_of(member(entry, "name"));
      for (JsonValue tool = member(root(), "tools").first(); tool; tool = tool.next())
        if (member(tool, "type").equals("mcp_toolset") && member(tool, "mcp_server_name").equals(name))
          if (!edit_.is_removed(tool)) remove_value(tool);
    }
    if (!edit_.is_removed(entry)) remove_value(entry);
    return {};
  }

  // Each server must be used by a toolset: it goes with it.
  void remove_toolset(std::string_view name) {
    for (JsonValue server = member(root(), "mcp_servers").first(); server; server = server.next())
      if (member(server, "name").equals(name) && !edit_.is_removed(server)) remove_value(server);
  }

  std::string name_of_tool(JsonValue tool) const {
    for (const std::string_view inner : {"function", "custom"})
      if (const JsonValue value = member(tool, inner); value.is_object()) return string_of(member(value, "name"));
    for (const std::string_view key : {"name", "server_label", "mcp_server_name"})
      if (const JsonValue value = member(tool, key); value.is_string()) return string_of(value);
    return string_of(member(tool, "type"));
  }

  void collect(JsonValue tools) {
    for (JsonValue tool = tools.first(); tool; tool = tool.next()) {
      if (edit_.is_removed(tool)) continue;
      left_.insert(name_of_tool(tool));
      for (JsonValue inner = tool.first(); api_ == Api::gemini && inner; inner = inner.next())
        if (!edit_.is_removed(inner) && inner.is_array()) collect(inner);
      if (const JsonValue inner = member(tool, "tools"); inner.is_array()) collect(inner);
    }
  }

  void names_left() {
    collect(member(root(), "tools"));
    collect(member(root(), "functions"));
    if (const JsonValue search = member(root(), "web_search_options"); search && !edit_.is_removed(search))
      left_.insert("web_search");
  }

  bool any_left(std::string_view list) const {
    const JsonValue tools = member(root(), list);
    return tools && !edit_.is_removed(tools) && edit_.left_in(tools) > 0;
  }

  void tidy_choice(std::string_view choice_name, std::string_view list) {
    const JsonValue choice = member(root(), choice_name);
    if (!any_left(list)) {
      // Servers refuse a choice among no tools.
      if (choice && edit_.is_removed(member(root(), list))) edit_.remove(choice);
      const JsonValue parallel = member(root(), "parallel_tool_calls");
      if (parallel && list == "tools" && api_ == Api::openai_chat && edit_.is_removed(member(root(), list)))
        edit_.remove(parallel);
      return;
    }
    if (!choice.is_object()) return;
    JsonValue allowed = member(choice, "allowed_tools");
    if (!allowed.is_object()) allowed = choice;
    if (const JsonValue tools = member(allowed, "tools"); tools.is_array()) {
      for (JsonValue tool = tools.first(); tool; tool = tool.next())
        if (!left_.contains(name_of_tool(tool))) edit_.remove(tool);
      if (edit_.left_in(tools) == 0) edit_.replace(choice, "\"none\"");
      return;
    }
    if (api_ == Api::anthropic_messages) {
      if (!member(choice, "type").equals("tool") || left_.contains(string_of(member(choice, "name")))) return;
      edit_.replace(member(choice, "type"), "\"auto\"");
      if (const JsonValue name = member(choice, "name")) edit_.remove(name);
      return;
    }
    if (!left_.contains(name_of_tool(choice))) edit_.replace(choice, "\"auto\"");
  }

  void tidy_gemini() {
    const JsonValue config = member(root(), "toolConfig");
    const JsonValue calling = member(config, "functionCallingConfig");
    const JsonValue names = member(calling, "allowedFunctionNames");
    if (!calling) return;
    for (JsonValue name = names.first(); name; name = name.next())
      if (!left_.contains(string_of(name))) edit_.remove(name);
    const bool none_allowed = names.size() > 0 && edit_.left_in(names) == 0;
    if (!has_functions() || none_allowed) edit_.remove(calling);
  }

  bool has_functions() const {
    const JsonValue tools = member(root(), "tools");
    for (JsonValue tool = tools.first(); tool; tool = tool.next()) {
      const JsonValue functions = member(tool, "functionDeclarations");
      if (functions && !edit_.is_removed(tool) && !edit_.is_removed(functions) && edit_.left_in(functions) > 0)
        return true;
    }
    return false;
  }

  Api api_;
  const JsonDocument& document_;
  JsonEdit edit_;
  std::set<std::string> left_;
};

bool is_client_call(Api api, JsonValue block) {
  const std::string type = string_of(block["type"]);
  return type.ends_with("tool_use") && !is_hosted_call(api, type);
}

}  // namespace

JsonValue member_of(Api api, JsonValue object, std::string_view name) {
  for (JsonValue member = object.first(); object.is_object() && member; member = member.next())
    if (is_spelling_of(member.key(), name, spelling_of(api))) return member;
  return {};
}

Result<std::string> remove_tools(Api api, std::string_view body, const std::vector<Happening>& offers) {
  if (offers.empty()) return std::string(body);
  JsonDocument document;
  STOCKADE_TRY(document.read(body));
  ToolRemoval removal(api, document);
  for (const Happening& offer : offers) STOCKADE_TRY(removal.remove(offer));
  return removal.finish();
}

Result<std::string> replace_texts(std::string_view json, const std::vector<TextReplacement>& replacements) {
  JsonDocument document;
  STOCKADE_TRY(document.read(json));
  JsonEdit edit(document);
  for (const TextReplacement& one : replacements) {
    const JsonValue value = find_range(document, one.range);
    if (!value.is_string()) return fail(ErrorKind::internal, "no text at byte {}", one.range.begin);
    edit.replace(value, json_quoted(one.text));
  }
  return edit.apply();
}

void add_notice(JsonEdit& edit, Api api, JsonValue message, std::string_view notice) {
  if (notice.empty()) return;
  const JsonValue content = member_of(api, message, "content");
  if (!content) {
    edit.append(message, "content", json_quoted(notice));
  } else if (content.is_array()) {
    edit.append(content, text_block(Api::openai_chat, notice, 0));
  } else if (content.is_string() && !content.text().empty()) {
    // Behind what is there, which stays byte for byte.
    const std::string_view raw = content.raw();
    edit.replace(content, std::string(raw.substr(0, raw.size() - 1)) + "\\n\\n" + json_quoted(notice).substr(1));
  } else {
    edit.replace(content, json_quoted(notice));
  }
}

std::string text_block(Api api, std::string_view notice, uint32_t index) {
  const std::string text = json_quoted(notice);
  if (api == Api::gemini) return fmt::format(R"({{"text":{}}})", text);
  if (api != Api::openai_responses) return fmt::format(R"({{"type":"text","text":{}}})", text);
  return fmt::format(R"({{"id":"msg_stockade_{}","type":"message","status":"completed","role":"assistant",)"
                     R"("content":[{{"type":"output_text","text":{},"annotations":[]}}]}})",
                     index, text);
}

void tidy_reason(JsonEdit& edit, Api api, JsonValue reason) {
  if (reason.equals("tool_calls") || reason.equals("function_call")) edit.replace(reason, "\"stop\"");
  if (api == Api::anthropic_messages && reason.equals("tool_use")) edit.replace(reason, "\"end_turn\"");
}

namespace {

// Chat and Ollama: the call leaves its list, and an empty list its message.
void leave_message(JsonEdit& edit, Api api, JsonValue call, std::string_view notice) {
  const JsonValue list = call.parent();
  edit.remove(call);
  JsonValue message = list;
  if (list.is_array()) {
    message = list.parent();
    if (edit.left_in(list) == 0) edit.remove(list);
  }
  add_notice(edit, api, message, notice);
}

}  // namespace

Result<std::string> refuse_calls(Api api, std::string_view body, const std::vector<Happening>& calls,
                                 std::string_view notice) {
  JsonDocument document;
  STOCKADE_TRY(document.read(body));
  JsonEdit edit(document);
  std::set<uint32_t> told;  // messages that have the notice
  for (const Happening& one : calls) {
    const JsonValue call = find_range(document, one.range);
    if (!call || one.kind != HappeningKind::tool_call) return fail(ErrorKind::internal, "no call at {}", one.pointer);
    if (api == Api::openai_chat || api == Api::ollama_chat) {
      const JsonValue message = call.parent().is_array() ? call.parent().parent() : call.parent();
      leave_message(edit, api, call, told.insert(message.id()).second ? notice : "");
    } else if (notice.empty()) {
      edit.remove(call);
    } else {
      edit.replace(call, text_block(api, notice, one.item.index));
    }
  }
  const auto is_refused = [&](JsonValue block) {
    for (const Happening& one : calls)
      if (one.range == block.range()) return true;
    return false;
  };
  const JsonValue root = document.root();
  if (api == Api::openai_chat) {
    for (JsonValue choice = root["choices"].first(); choice; choice = choice.next()) {
      const JsonValue message = choice["message"], list = message["tool_calls"], old = message["function_call"];
      const bool left = (list.size() > 0 && edit.left_in(list) > 0) || (old.is_object() && !edit.is_removed(old));
      if (!left) tidy_reason(edit, api, choice["finish_reason"]);
    }
  } else if (api == Api::anthropic_messages) {
    bool left = false;
    for (JsonValue block = root["content"].first(); block; block = block.next())
      left = left || (is_client_call(api, block) && !is_refused(block));
    if (!left) tidy_reason(edit, api, root["stop_reason"]);
  }
  return edit.apply();
}

}  // namespace stockade::model
