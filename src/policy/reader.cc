#include "policy/reader.h"

#include <algorithm>

#include "policy/units.h"

namespace stockade::policy {

namespace {

// "access" of "files[3].access".
std::string_view last_part(std::string_view path) {
  const auto dot = path.rfind('.');
  return dot == std::string_view::npos ? path : path.substr(dot + 1);
}

}  // namespace

void Reader::push(Diagnostics& list, Diagnostic diagnostic) {
  if (list.size() < kDiagnosticLimit)
    list.push_back(std::move(diagnostic));
  else if (list.size() == kDiagnosticLimit)
    list.push_back({{file_, 0, 0}, fmt::format("more than {} errors; the rest is not listed", kDiagnosticLimit), ""});
}

void Reader::error(const Node& node, std::string message, std::string hint) {
  push(errors_, {at(node), std::move(message), std::move(hint)});
}

void Reader::unbuilt(const Node& node, std::string_view what, std::string_view until) {
  push(errors_, {at(node), fmt::format("`{}` is not built yet: {}", what, until), "remove it", true});
}

void Reader::warning(const Node& node, std::string message, std::string hint) {
  push(warnings_, {at(node), std::move(message), std::move(hint)});
}

bool Reader::scalar(const Node& node, std::string_view what, std::string_view wanted) {
  if (node.kind == Node::Kind::scalar && !node.is_null()) return true;
  error(node, fmt::format("`{}` must be {}, not {}", what, wanted, node.describe()));
  return false;
}

std::optional<std::string> Reader::text(const Node& node, std::string_view what) {
  if (!scalar(node, what, "a text")) return std::nullopt;
  if (node.scalar_type() != "string") {
    error(node, fmt::format("`{}` must be a text, not {}", what, node.describe()),
          fmt::format("put it in quotes: \"{}\"", node.text));
    return std::nullopt;
  }
  if (node.text.empty()) {
    error(node, fmt::format("`{}` is empty", what));
    return std::nullopt;
  }
  return node.text;
}

std::optional<bool> Reader::boolean(const Node& node, std::string_view what) {
  if (node.scalar_type() == "boolean") return node.text[0] == 't' || node.text[0] == 'T';
  error(node, fmt::format("`{}` must be true or false, not {}", what,
                          node.kind == Node::Kind::scalar ? quoted(node.text) : std::string(node.describe())));
  return std::nullopt;
}

std::optional<uint64_t> Reader::count(const Node& node, std::string_view what, uint64_t least, uint64_t most) {
  if (!scalar(node, what, "a number")) return std::nullopt;
  const auto value = node.plain ? parse_count(node.text) : fail(ErrorKind::invalid_input, "not a number");
  if (!value) {
    error(node, fmt::format("`{}` must be a whole number, not {}", what, quoted(node.text)), value.error().hint());
    return std::nullopt;
  }
  if (*value < least || *value > most) {
    error(node, fmt::format("`{}` must be between {} and {}, not {}", what, least, most, *value),
          *value == 0 ? "0 does not mean without limit; leave the key out for its default" : "");
    return std::nullopt;
  }
  return *value;
}

std::optional<uint64_t> Reader::size(const Node& node, std::string_view what, uint64_t least) {
  if (!scalar(node, what, "a size such as 512MiB")) return std::nullopt;
  const auto value = parse_size(node.text);
  if (!value) {
    error(node, fmt::format("`{}`: {} is {}", what, quoted(node.text), value.error().sentence()), value.error().hint());
    return std::nullopt;
  }
  if (*value < least) {
    const bool forgot_unit = node.text.find_first_not_of("0123456789") == std::string::npos && *value > 0;
    error(node,
          fmt::format("`{}`: {} is too little to run anything (least: {})", what, format_size(*value),
                      format_size(least)),
          forgot_unit ? fmt::format("without a unit it means bytes; did you mean {}MiB?", *value) : "");
    return std::nullopt;
  }
  return *value;
}

std::optional<std::chrono::milliseconds> Reader::duration(const Node& node, std::string_view what) {
  if (!scalar(node, what, "a duration such as 300s")) return std::nullopt;
  const auto value = parse_duration(node.text);
  if (!value) {
    error(node, fmt::format("`{}`: {} is {}", what, quoted(node.text), value.error().sentence()), value.error().hint());
    return std::nullopt;
  }
  if (value->count() == 0) {
    error(node, fmt::format("`{}` must be longer than 0", what), "leave the key out for no limit");
    return std::nullopt;
  }
  return *value;
}

std::optional<double> Reader::cpus(const Node& node, std::string_view what) {
  if (!scalar(node, what, "a number of CPUs")) return std::nullopt;
  const auto value = node.plain ? parse_cpus(node.text) : fail(ErrorKind::invalid_input, "not a number of CPUs");
  if (!value || *value < 0.01) {
    error(node, fmt::format("`{}`: {} is not a number of CPUs", what, quoted(node.text)), "write it as 1, 2 or 0.5");
    return std::nullopt;
  }
  return *value;
}

std::optional<size_t> Reader::choice(const Node& node, std::string_view what, std::span<const std::string_view> words) {
  std::vector<std::string> all(words.begin(), words.end());
  if (!scalar(node, what, join_words(all, "or"))) return std::nullopt;
  for (size_t i = 0; i < words.size(); ++i)
    if (node.text == words[i]) return i;
  const std::string meant = nearest(node.text, words);
  error(node, fmt::format("`{}` must be {}, not {}", what, join_words(all, "or"), quoted(node.text)),
        meant.empty() ? "" : fmt::format("did you mean {}?", meant));
  return std::nullopt;
}

const std::vector<Node>* Reader::list(const Node& node, std::string_view what) {
  if (node.kind == Node::Kind::sequence) return &node.items;
  error(node, fmt::format("`{}` must be a list, not {}", what, node.describe()),
        node.kind == Node::Kind::scalar && !node.is_null() ? fmt::format("write {}: [{}]", last_part(what), node.text)
                                                           : "");
  return nullptr;
}

std::optional<std::vector<std::string>> Reader::texts(const Node& node, std::string_view what) {
  const auto* items = list(node, what);
  if (items == nullptr) return std::nullopt;
  std::vector<std::string> out;
  for (size_t i = 0; i < items->size(); ++i)
    if (auto item = text((*items)[i], fmt::format("{}[{}]", what, i))) out.push_back(std::move(*item));
  return out;
}

Fields::Fields(Reader& reader, const Node& node, std::string path, std::string_view table)
    : path_(std::move(path)), table_(&key_table(table)) {
  if (node.kind != Node::Kind::mapping) {
    reader.error(node,
                 fmt::format("{} must be a mapping, not {}", path_.empty() ? "a policy" : fmt::format("`{}`", path_),
                             node.describe()),
                 fmt::format("its keys begin with `{}:`", table_->keys.front().name));
    return;
  }
  node_ = &node;
  for (size_t i = 0; i + 1 < node.items.size(); i += 2) {
    const Node& key = node.items[i];
    if (key.kind != Node::Kind::scalar) continue;  // reported by the tree
    const Key* known = table_->find(key.text);
    if (known == nullptr) {
      const std::string meant = nearest(key.text, *table_);
      reader.error(key, fmt::format("unknown key {}{}", quoted(key.text), path_.empty() ? "" : " in `" + path_ + "`"),
                   meant.empty() ? "" : fmt::format("did you mean `{}`?", meant));
    } else if (node.items[i + 1].is_null()) {
      // A ceiling's `allow:` with nothing behind it must not read as "not limited". image, rootfs, resolver: null is
      // how the contract writes their defaults.
      if (key.text != "image" && key.text != "rootfs" && key.text != "resolver")
        reader.error(key, fmt::format("`{}` has no value", this->path(key.text)),
                     node.items[i + 1].text == "~" ? "a lone ~ is YAML for nothing: write \"~\" for your home"
                                                   : "write one, or remove the key");
    } else if (!known->later.empty()) {
      reader.unbuilt(key, this->path(key.text), known->later);
    }
  }
}

const Node* Fields::operator[](std::string_view key) const {
  if (node_ == nullptr) return nullptr;
  for (size_t i = 0; i + 1 < node_->items.size(); i += 2)
    if (node_->items[i].text == key) return node_->items[i + 1].is_null() ? nullptr : &node_->items[i + 1];
  return nullptr;
}

std::string Fields::path(std::string_view key) const {
  return path_.empty() ? std::string(key) : fmt::format("{}.{}", path_, key);
}

}  // namespace stockade::policy
