// Bodies under a content coding (gzip, deflate, br, zstd), for filters that read text: the coded bytes pass unchanged,
// each piece as soon as the filter let go of all that it decodes to. What can't be decoded, or grows without bound,
// can't be judged: an Error. (net/content_coding.h)
#pragma once

#include "egress/body_filter.h"
#include "net/content_coding.h"

namespace stockade::egress {

// `inner` must not edit.
std::unique_ptr<BodyFilter> under_coding(net::ContentDecoder decoder, std::unique_ptr<BodyFilter> inner);
// What passes is the decoded text; the caller takes Content-Encoding out of the head. For filters that edit.
std::unique_ptr<BodyFilter> without_coding(net::ContentDecoder decoder);

}  // namespace stockade::egress
