// The URLs that a program which shows a text fetches by itself: Markdown images (inline and by reference), HTML
// elements that load something, CSS url(), and external entities of XML. A scanner, not a parser: it finds too much
// rather than too little, in time linear in the text. Pure, any thread.
#pragma once

#include <functional>
#include <string_view>

namespace stockade::net {

// Calls `found` with each, entities of HTML decoded, until it returns false. True: the text was read to its end; false:
// it was not, because of `found` or because the text is made to be read over and over.
bool scan_embedded_urls(std::string_view text, const std::function<bool(std::string_view)>& found);

}  // namespace stockade::net
