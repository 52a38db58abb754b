// The published schema, the loader's key tables, the presets, the examples and the documentation say the same.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <regex.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "policy/effective.h"
#include "policy/keys.h"
#include "policy/layer.h"
#include "policy/preset.h"
#include "policy/reports.h"
#include "policy/surroundings_fixture.h"
#include "policy/yaml_tree.h"

namespace stockade::policy {
namespace {

using nlohmann::json;

std::string read(const std::string& path) {
  std::ifstream in(std::string(STOCKADE_SOURCE_DIR) + "/" + path);
  EXPECT_TRUE(in) << path;
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

json schema() { return json::parse(read("schema/policy.schema.json")); }

json to_json_value(const Node& node) {
  if (node.kind == Node::Kind::sequence) {
    json out = json::array();
    for (const Node& item : node.items) out.push_back(to_json_value(item));
    return out;
  }
  if (node.kind == Node::Kind::mapping) {
    json out = json::object();
    for (size_t i = 0; i + 1 < node.items.size(); i += 2) out[node.items[i].text] = to_json_value(node.items[i + 1]);
    return out;
  }
  const auto type = node.scalar_type();
  if (type == "string") return node.text;
  if (type == "null") return nullptr;
  return json::parse(node.text);
}

bool matches(const std::string& pattern, const std::string& text) {
  regex_t compiled;
  EXPECT_EQ(::regcomp(&compiled, pattern.c_str(), REG_EXTENDED | REG_NOSUB), 0) << pattern;
  const bool found = ::regexec(&compiled, text.c_str(), 0, nullptr, 0) == 0;
  ::regfree(&compiled);
  return found;
}

bool has_type(const json& value, const std::string& type) {
  return (type == "object" && value.is_object()) || (type == "array" && value.is_array()) ||
         (type == "string" && value.is_string()) || (type == "integer" && value.is_number_integer()) ||
         (type == "number" && value.is_number()) || (type == "boolean" && value.is_boolean()) ||
         (type == "null" && value.is_null());
}

// The part of JSON Schema that ours uses. An unknown keyword fails, so that none is silently skipped.
bool valid(const json& value, const json& schema) {
  for (const auto& item : schema.items()) {
    const std::string& word = item.key();
    const json& rule = item.value();
    bool good = true;
    if (word == "type")
      good = rule.is_array() ? std::any_of(rule.begin(), rule.end(), [&](const json& t) { return has_type(value, t); })
                             : has_type(value, rule);
    else if (word == "enum")
      good = std::find(rule.begin(), rule.end(), value) != rule.end();
    else if (word == "const")
      good = value == rule;
    else if (word == "pattern")
      good = !value.is_string() || matches(rule, value);
    else if (word == "minLength")
      good = !value.is_string() || value.get<std::string>().size() >= rule.get<size_t>();
    else if (word == "minimum")
      good = !value.is_number() || value.get<double>() >= rule.get<double>();
    else if (word == "maximum")
      good = !value.is_number() || value.get<double>() <= rule.get<double>();
    else if (word == "minItems")
      good = !value.is_array() || value.size() >= rule.get<size_t>();
    else if (word == "items")
      good = !value.is_array() ||
             std::all_of(value.begin(), value.end(), [&](const json& item) { return valid(item, rule); });
    else if (word == "anyOf")
      good = std::any_of(rule.begin(), rule.end(), [&](const json& option) { return valid(value, option); });
    else if (word == "oneOf")
      good = std::count_if(rule.begin(), rule.end(), [&](const json& option) { return valid(value, option); }) == 1;
    else if (word == "required")
      good = !value.is_object() || std::all_of(rule.begin(), rule.end(),
                                               [&](const json& key) { return value.contains(key.get<std::string>()); });
    else if (word == "propertyNames" && value.is_object())
      for (const auto& [key, unused] : value.items()) good = good && valid(json(key), rule);
    else if (word == "properties" && value.is_object()) {
      for (const auto& [key, item] : value.items())
        if (rule.contains(key)) good = good && valid(item, rule[key]);
    } else if (word == "additionalProperties" && value.is_object()) {
      for (const auto& [key, item] : value.items())
        if (!schema.contains("properties") || !schema["properties"].contains(key))
          good = good && (rule.is_boolean() ? rule.get<bool>() : valid(item, rule));
    } else {
      static const std::set<std::string> kIgnored = {
          "description", "default", "title", "$schema", "properties", "additionalProperties", "propertyNames"};
      EXPECT_TRUE(kIgnored.contains(word)) << word;
    }
    if (!good) return false;
  }
  return true;
}

void collect(const json& schema, const std::string& path, std::map<std::string, std::set<std::string>>& out) {
  for (const char* combination : {"anyOf"})
    if (schema.contains(combination))
      for (const json& option : schema[combination]) collect(option, path, out);
  if (schema.contains("items")) collect(schema["items"], path + "[]", out);
  if (schema.contains("additionalProperties") && schema["additionalProperties"].is_object() &&
      schema["additionalProperties"].contains("properties"))
    collect(schema["additionalProperties"], path + ".*", out);
  if (!schema.contains("properties")) return;
  for (const auto& [key, value] : schema["properties"].items()) {
    out[path].insert(key);
    collect(value, path.empty() ? key : path + "." + key, out);
  }
}

void expect_loads_and_validates(const std::string& text, const std::string& name) {
  const LoadOutcome outcome = load_policy(text, name, adas_surroundings());
  EXPECT_TRUE(outcome.errors.empty()) << render(outcome.errors);
  EXPECT_TRUE(valid(to_json_value(parse_tree(text, name).root), schema())) << name;
  EXPECT_TRUE(valid(json::parse(to_json(outcome.policy)), schema())) << name << ": the effective policy";
}

TEST(Schema, HasTheKeysOfTheLoader) {
  std::map<std::string, std::set<std::string>> published;
  collect(schema(), "", published);
  std::map<std::string, std::set<std::string>> loaded;
  for (const KeyTable& table : key_tables())
    for (const Key& key : table.keys) loaded[std::string(table.path)].insert(std::string(key.name));
  EXPECT_EQ(published, loaded);
}

TEST(Schema, RefusesWhatTheLoaderRefuses) {
  for (const char* text :
       {"{}", R"({"version":2})", R"({"version":1,"nme":"x"})", R"({"version":1,"sandbox":{"memory":"512MB"}})",
        R"({"version":1,"limits":{"time":"300"}})", R"({"version":1,"files":[{"host":"/x"}]})",
        R"({"version":1,"network":{"allow":[{"host":"a","address":"b"}]}})",
        R"({"version":1,"network":{"allow":[{"host":"a","ports":[0]}]}})",
        R"({"version":1,"tests":[{"read":"/x","write":"/x","expect":"deny"}]})"}) {
    EXPECT_FALSE(valid(json::parse(text), schema())) << text;
    EXPECT_FALSE(load_policy(text, "p", adas_surroundings()).errors.empty()) << text;
  }
}

TEST(Presets, LoadValidateAndMountNothingButTheDefaultsDirectory) {
  EXPECT_GE(presets().size(), 12u);
  for (const Preset& preset : presets()) {
    expect_loads_and_validates(std::string(preset.yaml), std::string(preset.name));
    Request request;
    request.presets = {std::string(preset.name)};
    const Layered layered = layer(request, adas_surroundings());
    EXPECT_TRUE(layered.usable()) << preset.name << render(layered.errors);
    EXPECT_TRUE(layered.policy.sandbox.env.pass.empty()) << preset.name;
    for (const FileRule& rule : layered.policy.files) EXPECT_EQ(rule.host, adas_surroundings().cwd) << preset.name;
    if (preset.commands.empty()) continue;
    EXPECT_THAT(std::string(preset.yaml),
                ::testing::ContainsRegex("waits[ \n#]+for[ \n#]+the[ \n#]+secret[ \n#]+broker"))
        << preset.name;
  }
}

TEST(Examples, LoadValidateAndPassTheirTests) {
  for (const auto& entry : std::filesystem::directory_iterator(std::string(STOCKADE_SOURCE_DIR) + "/examples")) {
    if (entry.path().extension() != ".yaml") continue;
    expect_loads_and_validates(read("examples/" + entry.path().filename().string()), entry.path());
    const Report report = check_report(entry.path(), adas_surroundings());
    EXPECT_TRUE(report.ok) << report.text;
    EXPECT_TRUE(json::parse(report.json)["ok"]);
  }
}

TEST(Documentation, HasOnlyExamplesThatLoad) {
  const std::string text = read("docs/policy.md");
  int blocks = 0;
  for (size_t at = text.find("```yaml\n"); at != std::string::npos; at = text.find("```yaml\n", at + 8)) {
    std::string block = text.substr(at + 8, text.find("\n```", at + 8) - at - 7);
    if (!block.starts_with("version:")) block = "version: 1\n" + block;
    expect_loads_and_validates(block, "block " + std::to_string(++blocks));
  }
  EXPECT_GE(blocks, 6);
}

TEST(Documentation, NamesEveryKey) {
  const std::string text = read("docs/policy.md");
  for (const KeyTable& table : key_tables()) {
    for (const Key& key : table.keys) {
      const std::string name(key.name);
      const bool named = text.find("`" + name + "`") != std::string::npos ||
                         text.find("`" + std::string(table.path) + "." + name) != std::string::npos ||
                         text.find("`" + name + ".") != std::string::npos ||
                         (table.path == "sandbox.env.pass[]" && text.find("{ name, reason }") != std::string::npos) ||
                         text.find("`" + name + ":") != std::string::npos;
      EXPECT_TRUE(named) << table.path << " " << key.name;
    }
  }
}

TEST(Template, LoadsAndPassesItsTests) {
  const Report report = init_report(adas_surroundings());
  expect_loads_and_validates(report.text, "init");
  EXPECT_EQ(json::parse(report.json)["policy"], report.text);
  Surroundings odd = adas_surroundings();
  odd.cwd = "/srv/a \"b\": {c}\n#d";
  EXPECT_TRUE(load_policy(init_report(odd).text, "init", odd).errors.empty());
}

}  // namespace
}  // namespace stockade::policy
