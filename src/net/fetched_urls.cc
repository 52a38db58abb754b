#include "net/fetched_urls.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "net/embedded_urls.h"
#include "net/form_fields.h"
#include "net/http_field.h"
#include "net/strict_json.h"

namespace stockade::net {

namespace {

constexpr size_t kPlaceLimit = 256;

std::unexpected<Error> refuse(std::string_view reason) { return fail(ErrorKind::limit, "a request with {}", reason); }

// "image_url", "imageUrl", "image-url": one name.
std::string folded(std::string_view name) {
  std::string out;
  for (const char c : name)
    if (c != '_' && c != '-' && c != '.' && c != ' ' && c != '[' && c != ']')
      out.push_back(c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c);
  return out;
}

template <size_t N>
bool is_one_of(std::string_view name, const std::string_view (&names)[N]) {
  return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

// Fields that a model's API fetches.
bool is_certain(std::string_view name) {
  static constexpr std::string_view kNames[] = {
      "imageurl", "imageuri",   "fileurl",   "fileuri",   "serverurl",      "documenturl",  "videourl",
      "audiourl", "gcsuri",     "gcssource", "pdfurl",    "mcpserverurl",   "connectorurl", "inputimageurl",
      "maskurl",  "websiteurl", "crawlurl",  "scrapeurl", "trainingfileurl"};
  return is_one_of(name, kNames);
}

// Objects whose "url" is one.
bool has_certain_url(std::string_view parent) {
  static constexpr std::string_view kNames[] = {"source",   "mcpservers", "document", "inputimage", "inputfile",
                                                "filedata", "image",      "video",    "audio",      "inputaudio"};
  return is_one_of(parent, kNames) || is_certain(parent);
}

bool is_generic(std::string_view name) {
  static constexpr std::string_view kNames[] = {
      "href",     "src",      "link",      "webhook",  "webhooks", "callback", "hook",        "redirect",   "returnto",
      "next",     "continue", "goto",      "endpoint", "target",   "dest",     "destination", "avatar",     "feed",
      "rss",      "sitemap",  "proxy",     "remote",   "upstream", "origin",   "location",    "picture",    "photo",
      "icon",     "logo",     "thumbnail", "image",    "wsdl",     "jku",      "x5u",         "issuer",     "mirror",
      "source",   "download", "fetch",     "load",     "import",   "page",     "site",        "website",    "homepage",
      "uploadto", "notify",   "reference", "host",     "domain",   "server",   "address",     "repository", "repo",
      "registry", "template", "include",   "schema",   "baseurl",  "u",        "out",         "to"};
  return name.ends_with("url") || name.ends_with("uri") || name.ends_with("urls") || name.ends_with("uris") ||
         is_one_of(name, kNames);
}

class Finder {
 public:
  Result<std::vector<FetchedUrl>> finish() {
    if (full_) return refuse("too many URLs");
    return std::move(out_);
  }

  void add(FetchKind kind, std::string_view place, std::vector<UrlDestination> destinations) {
    if (destinations.empty() || full_) return;
    if (out_.size() == kFetchedUrlLimit) {
      full_ = true;
      return;
    }
    out_.push_back({kind, std::string(place.substr(0, kPlaceLimit)), std::move(destinations), in_text_});
  }

  // One value under a name: a field of a query, a form or an object.
  void add_value(std::string_view name, bool certain, std::string_view place, std::string_view value) {
    auto destinations = url_destinations(value);
    if (certain) {
      if (destinations.empty()) add_bare(FetchKind::certain, place, value);
      return add(FetchKind::certain, place, std::move(destinations));
    }
    if (is_generic(name)) {
      if (destinations.empty()) add_bare(FetchKind::possible, place, value);
      return add(FetchKind::possible, place, std::move(destinations));
    }
    const bool address = std::any_of(destinations.begin(), destinations.end(),
                                     [](const UrlDestination& to) { return to.address || !to.readable; });
    if (address && value.find(' ') == std::string_view::npos)
      return add(FetchKind::possible, place, std::move(destinations));
    add_embedded(place, value);
  }

  void add_embedded(std::string_view place, std::string_view text) {
    const bool whole = scan_embedded_urls(text, [&](std::string_view url) {
      add(FetchKind::embedded, place, url_destinations(url));
      return !full_;
    });
    if (!whole) full_ = true;
  }

  void add_json(const JsonValue& value, std::string_view name, std::string_view parent, const std::string& place,
                size_t nesting) {
    if (full_) return;
    if (value.is(JsonKind::string)) return add_string(value.text, name, parent, place, nesting);
    // What says of itself that it is one: {"type": "url", "url": ...}, {"type": "image_url", ...}.
    const auto* type = value.is(JsonKind::object) ? value.find("type") : nullptr;
    const bool typed = type != nullptr && type->is(JsonKind::string) &&
                       (folded(type->text) == "url" || is_certain(folded(type->text)));
    for (size_t i = 0; i < value.items.size(); ++i) {
      if (value.is(JsonKind::array)) {
        add_json(value.items[i], name, parent, place.size() < kPlaceLimit ? fmt::format("{}[{}]", place, i) : place,
                 nesting);
        continue;
      }
      const std::string key = folded(value.names[i]);
      const std::string inside = place.size() < kPlaceLimit
                                     ? fmt::format("{}{}{}", place, place.ends_with(' ') ? "" : ".", value.names[i])
                                     : place;
      add_json(value.items[i], key, typed && key == "url" ? std::string_view("source") : name, inside, nesting);
    }
  }

 private:
  void add_bare(FetchKind kind, std::string_view place, std::string_view value) {
    if (auto destination = bare_destination(value)) add(kind, place, {std::move(*destination)});
  }

  void add_string(std::string_view text, std::string_view name, std::string_view parent, const std::string& place,
                  size_t nesting) {
    const bool certain =
        is_certain(name) || ((name == "url" || name == "uri" || name == "href") && has_certain_url(parent));
    if (nesting < kNestedJsonLimit && !text.empty() && (text[0] == '{' || text[0] == '[')) {
      if (const auto inner = parse_strict_json(text)) {
        const bool before = std::exchange(in_text_, true);
        add_json(*inner, name, parent, place, nesting + 1);
        in_text_ = before;
        return;
      }
    }
    add_value(name, certain, place, text);
  }

  std::vector<FetchedUrl> out_;
  bool full_ = false;
  bool in_text_ = false;
};

// A percent sign that begins no escape stands for itself (WHATWG URL, "percent-decode"): curl and others send such.
std::string with_whole_escapes(std::string_view text) {
  const auto is_hex = [](char c) { return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f'); };
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    out += text[i];
    if (text[i] == '%' && !(i + 2 < text.size() && is_hex(text[i + 1]) && is_hex(text[i + 2]))) out += "25";
  }
  return out;
}

Result<void> search_fields(Finder& finder, std::string_view text, std::string_view place) {
  STOCKADE_ASSIGN(const auto fields, parse_urlencoded(with_whole_escapes(text)));
  for (const FormField& field : fields)
    finder.add_value(folded(field.name), is_certain(folded(field.name)), fmt::format("{}: {}", place, field.name),
                     field.value);
  return {};
}

Result<void> search_body(Finder& finder, const MediaType& type, std::string_view body, std::string_view name) {
  if (type.is_json()) {
    STOCKADE_ASSIGN(const JsonValue value, parse_strict_json(body));
    finder.add_json(value, name, {}, name.empty() ? "json: " : fmt::format("form: {}: ", name), 0);
  } else if (type.type == "application/x-www-form-urlencoded") {
    return search_fields(finder, body, "form");
  } else if (type.type == "multipart/form-data") {
    STOCKADE_ASSIGN(const auto parts, parse_multipart(body, type.parameter("boundary")));
    for (const Part& part : parts) {
      const HttpField* field = find_field(part.fields, "content-type");
      STOCKADE_ASSIGN(const MediaType inner, parse_media_type(field == nullptr ? "" : field->value));
      const std::string key = folded(part.name());
      if (inner.type.empty()) {
        finder.add_value(key, is_certain(key), fmt::format("form: {}", part.name()), part.content);
      } else if (inner.type != "multipart/form-data") {
        STOCKADE_TRY(search_body(finder, inner, part.content, part.name()));
      }
    }
  } else if (type.type.starts_with("text/") || type.type.ends_with("xml") || type.type.ends_with("svg+xml")) {
    if (type.type == "text/uri-list") {
      for (auto rest = body; !rest.empty(); rest.remove_prefix(std::min(rest.find('\n'), rest.size() - 1) + 1))
        finder.add(FetchKind::possible, "text", url_destinations(rest.substr(0, rest.find('\n'))));
    }
    finder.add_embedded("text", body);
  }
  return {};
}

}  // namespace

Result<std::vector<FetchedUrl>> find_fetched_urls(const RequestHead& head, std::string_view body) {
  if (body.size() > kFetchedBodyLimit) return refuse("a body that is too long to be searched for URLs");
  Finder finder;
  if (head.query) STOCKADE_TRY(search_fields(finder, *head.query, "query"));
  for (const std::string_view name : {"link", "x-callback-url", "x-webhook-url", "x-notify-url", "callback"})
    if (const HttpField* field = find_field(head.fields, name))
      finder.add(FetchKind::possible, fmt::format("header: {}", name), url_destinations(field->value));
  if (!body.empty()) {
    const HttpField* field = find_field(head.fields, "content-type");
    STOCKADE_ASSIGN(const MediaType type, parse_media_type(field == nullptr ? "" : field->value));
    STOCKADE_TRY(search_body(finder, type, body, ""));
  }
  return finder.finish();
}

Result<std::vector<FetchedUrl>> find_embedded_urls(std::string_view text) {
  if (text.size() > kFetchedBodyLimit) return refuse("a text that is too long to be searched for URLs");
  Finder finder;
  finder.add_embedded("text", text);
  return finder.finish();
}

}  // namespace stockade::net
