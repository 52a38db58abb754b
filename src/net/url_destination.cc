#include "net/url_destination.h"

#include <algorithm>

#include "base/printable.h"
#include "net/address_spelling.h"
#include "net/http_field.h"

namespace stockade::net {

namespace {

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool is_alpha(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Browsers drop these wherever they stand (WHATWG URL, 4.4).
std::string without_line_breaks(std::string_view url) {
  while (!url.empty() && static_cast<unsigned char>(url.front()) <= 0x20) url.remove_prefix(1);
  while (!url.empty() && static_cast<unsigned char>(url.back()) <= 0x20) url.remove_suffix(1);
  std::string out;
  for (const char c : url.substr(0, 8 * kAuthorityLimit))
    if (c != '\t' && c != '\n' && c != '\r') out.push_back(c);
  return out;
}

std::string percent_decoded(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && text.size() - i > 2 && hex_value(text[i + 1]) >= 0 && hex_value(text[i + 2]) >= 0) {
      out.push_back(static_cast<char>(hex_value(text[i + 1]) * 16 + hex_value(text[i + 2])));
      i += 2;
    } else {
      out.push_back(text[i]);
    }
  }
  return out;
}

// Full-width letters and dots as UTS #46 maps them; the rest stays.
std::string narrow(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const CodePoint point = decode_utf8(text);
    if (point.length == 0) return std::string();
    if (point.value >= 0xff01 && point.value <= 0xff5e) {
      out.push_back(static_cast<char>(point.value - 0xff01 + 0x21));
    } else if (point.value == 0x3002 || point.value == 0xff61) {
      out.push_back('.');
    } else if (point.value != 0xad && point.value != 0x200b && point.value != 0x2060 && point.value != 0xfeff) {
      out.append(text.substr(0, point.length));
    }
    text.remove_prefix(point.length);
  }
  return out;
}

bool is_host_text(std::string_view host) {
  return !host.empty() && host.size() <= 255 && std::none_of(host.begin(), host.end(), [](char c) {
    return static_cast<unsigned char>(c) <= 0x20 || c == 0x7f ||
           std::string_view("\"#%/:<>?@[\\]^`{|}").find(c) != std::string_view::npos;
  });
}

void set_host(UrlDestination& out, std::string_view host) {
  if (const auto address = spelled_address(host)) {
    out.address = *address;
    out.host = address->to_string();
    return;
  }
  std::string name = lower_case(narrow(percent_decoded(host)));
  if (name.ends_with('.')) name.pop_back();
  out.readable = is_host_text(name) && !ends_in_number(name);
  out.host = std::move(name);
}

// "[::1]:80", "host:80" without user information.
UrlDestination read_host_and_port(std::string_view scheme, std::string_view text) {
  UrlDestination out{.scheme = std::string(scheme)};
  const size_t bracket = text.starts_with('[') ? text.find(']') : std::string_view::npos;
  const size_t colon = text.find(':', bracket == std::string_view::npos ? 0 : bracket);
  const auto host = text.substr(0, colon);
  set_host(out, host);
  if (colon == std::string_view::npos) return out;
  uint32_t port = 0;
  const auto digits = text.substr(colon + 1);
  for (const char c : digits) {
    if (!is_digit(c) || (port = port * 10 + static_cast<uint32_t>(c - '0')) > 65535) {
      out.readable = false;
      return out;
    }
  }
  if (!digits.empty()) out.port = static_cast<uint16_t>(port);
  return out;
}

void add(std::vector<UrlDestination>& out, UrlDestination destination) {
  if (std::find(out.begin(), out.end(), destination) == out.end()) out.push_back(std::move(destination));
}

void add_readings(std::vector<UrlDestination>& out, std::string_view scheme, std::string_view rest) {
  for (const std::string_view ends : {"/\\?#", "/?#", "/"}) {
    const auto authority = rest.substr(0, rest.find_first_of(ends));
    if (authority.size() > kAuthorityLimit) {
      add(out, {.scheme = std::string(scheme), .readable = false});
      continue;
    }
    const auto last = authority.rfind('@');
    if (last == std::string_view::npos) {
      add(out, read_host_and_port(scheme, authority));
      continue;
    }
    add(out, read_host_and_port(scheme, authority.substr(last + 1)));
    const auto first = authority.find('@');
    if (first != last) add(out, read_host_and_port(scheme, authority.substr(first + 1, last - first - 1)));
  }
}

bool is_special(std::string_view scheme) {
  for (const std::string_view known : {"http", "https", "ws", "wss", "ftp"})
    if (scheme == known) return true;
  return false;
}

size_t scheme_size(std::string_view url) {
  if (url.empty() || !is_alpha(url[0])) return 0;
  for (size_t i = 1; i < url.size() && i < 32; ++i) {
    if (url[i] == ':') return i;
    if (!is_alpha(url[i]) && !is_digit(url[i]) && url[i] != '+' && url[i] != '-' && url[i] != '.') return 0;
  }
  return 0;
}

}  // namespace

std::vector<UrlDestination> url_destinations(std::string_view text) {
  std::vector<UrlDestination> out;
  const std::string url = without_line_breaks(text);
  std::string_view rest = url;
  std::string scheme;
  if (const size_t size = scheme_size(rest); size > 0) {
    scheme = lower_case(rest.substr(0, size));
    rest.remove_prefix(size + 1);
    // "jar:http://x!/", "view-source:http://x", "url:http://x": what is inside counts as well.
    if (scheme_size(rest) > 0 && !rest.starts_with("//")) {
      const auto inner = rest.find(':');
      if (rest.substr(inner).starts_with("://")) out = url_destinations(rest);
    }
  }
  const auto slashes = std::min(rest.find_first_not_of("/\\"), rest.size());
  if (scheme.empty() && slashes < 2) return out;
  if (is_special(scheme)) {
    if (slashes == rest.size()) return out;
    add_readings(out, scheme, rest.substr(slashes));
    // A strict reader sees an empty host in "http:///x": it fetches nothing.
    return out;
  }
  if (!rest.starts_with("//") && !(scheme.empty() && slashes >= 2) && scheme != "file") return out;
  if (scheme == "file") {
    const auto authority = rest.starts_with("//") ? rest.substr(2, rest.find('/', 2) - 2) : std::string_view();
    if (authority.empty()) {
      add(out, {.scheme = scheme});
    } else {
      add_readings(out, scheme, authority);
    }
    return out;
  }
  add_readings(out, scheme, rest.substr(scheme.empty() ? slashes : 2));
  return out;
}

std::optional<UrlDestination> bare_destination(std::string_view text) {
  if (text.empty() || text.size() > 8 * kAuthorityLimit) return std::nullopt;
  const auto authority = text.substr(0, text.find_first_of("/\\?#"));
  if (authority.empty() || authority.size() > kAuthorityLimit) return std::nullopt;
  UrlDestination out = read_host_and_port("", authority.substr(authority.rfind('@') + 1));
  if (out.address) return out;
  if (!out.readable) return std::nullopt;
  if (out.host == "localhost" || out.host.ends_with(".localhost")) return out;
  const auto dot = out.host.rfind('.');
  if (dot == std::string::npos || dot == 0 || out.host.size() - dot < 3) return std::nullopt;
  return out;
}

}  // namespace stockade::net
