// URLs in a request that its receiver will fetch on the caller's behalf, so that they can be judged like requests of
// our own: an image that a model API downloads, an MCP server that it connects to, a webhook, an avatar to import, an
// image in a text that somebody's program will show. Found in the query, in forms, JSON (also JSON inside of strings),
// text, HTML, Markdown and XML; each with its destinations in every reading (net/url_destination.h).
//
// Sources of the certain ones: the APIs of OpenAI (image_url, file_url, server_url), Anthropic (source.url,
// mcp_servers), Gemini (fileData.fileUri), Mistral (document_url). Not found: URLs in binary formats, in compressed
// members, or put together by the receiver. Pure, any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "net/http1.h"
#include "net/url_destination.h"

namespace stockade::net {

inline constexpr size_t kFetchedUrlLimit = 512;
inline constexpr size_t kFetchedBodyLimit = 8 * 1024 * 1024;
inline constexpr size_t kNestedJsonLimit = 3;  // JSON in a string in a string

enum class FetchKind {
  certain,   // an API fetches what stands in this field
  possible,  // a field that is often fetched ("url", "webhook"), or any whose whole value is a URL with an address
  embedded   // an image, frame or style sheet in a text; whoever shows the text fetches it
};

struct FetchedUrl {
  FetchKind kind = FetchKind::possible;
  std::string place;                         // "query: url", "json: messages[0].content[1].image_url.url", "text"
  std::vector<UrlDestination> destinations;  // at least one; more: readers disagree
  bool in_text = false;                      // in JSON inside a string: what most receivers take for text
};

// `body` whole and decoded; its type is the head's Content-Type. A body of a type that is searched, and can't be read,
// is an error; so are more than kFetchedUrlLimit URLs.
Result<std::vector<FetchedUrl>> find_fetched_urls(const RequestHead& head, std::string_view body);

// The images, frames and style sheets of a text, a Markdown or an HTML document.
Result<std::vector<FetchedUrl>> find_embedded_urls(std::string_view text);

}  // namespace stockade::net
