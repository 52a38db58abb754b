#include <nlohmann/json.hpp>

#include "supervisor/run_directory.h"

namespace stockade::supervisor {

using nlohmann::ordered_json;

namespace {

// Notes may quote what the agent made. A record that grew past kRecordLimit would be a run that no verb finds.
constexpr size_t kNoteLimit = 100;
constexpr size_t kNoteLength = 8192;

std::vector<std::string> bounded(const std::vector<std::string>& notes) {
  std::vector<std::string> out;
  for (size_t i = 0; i < std::min(notes.size(), kNoteLimit); ++i)
    out.push_back(notes[i].size() <= kNoteLength ? notes[i] : notes[i].substr(0, kNoteLength) + "…");
  if (notes.size() > kNoteLimit) out.push_back(fmt::format("and {} more notes", notes.size() - kNoteLimit));
  return out;
}

}  // namespace

std::string to_json(const RunRecord& record, bool running) {
  ordered_json json{{"id", record.id},
                    {"name", record.name},
                    {"status", running ? "running" : "ended"},
                    {"command", record.command},
                    {"workdir", record.workdir},
                    {"runtime", record.runtime},
                    {"policy", record.policy_sources},
                    {"supervisor_pid", record.supervisor_pid},
                    {"started", record.started},
                    {"ended", nullptr},
                    {"exit_code", nullptr},
                    {"ended_by", nullptr},
                    {"counters", record.counters},
                    {"notes", bounded(record.notes)}};
  if (!record.ended.empty()) json["ended"] = record.ended;
  if (record.exit_code) json["exit_code"] = *record.exit_code;
  if (record.ended_by) json["ended_by"] = record.ended_by->to_string();
  // Arguments may hold any bytes: what is not UTF-8 is replaced.
  return json.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

Result<RunRecord> parse_run_record(const std::string& text) {
  try {
    const auto json = ordered_json::parse(text);
    RunRecord record;
    record.id = json.at("id");
    record.name = json.at("name");
    record.command = json.at("command");
    record.workdir = json.at("workdir");
    record.runtime = json.at("runtime");
    record.policy_sources = json.at("policy");
    record.supervisor_pid = json.at("supervisor_pid");
    record.started = json.at("started");
    if (!json.at("ended").is_null()) record.ended = json["ended"];
    if (!json.at("exit_code").is_null()) record.exit_code = json["exit_code"].get<int>();
    if (!json.at("ended_by").is_null()) record.ended_by = monitor::EndedBy::parse(json["ended_by"].get<std::string>());
    record.counters = json.at("counters");
    record.notes = json.at("notes");
    return record;
  } catch (const nlohmann::json::exception& error) {
    return fail(ErrorKind::invalid_input, "run.json is not a run's record: {}", error.what());
  }
}

}  // namespace stockade::supervisor
