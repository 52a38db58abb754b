// Whole requests, bodies and streams of every API against what they should say: transcripts/NAME is the bytes,
// transcripts/NAME.happenings what happens in them, a line each. STOCKADE_WRITE_TRANSCRIPTS=1 writes the latter anew;
// read the difference before it is committed.
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "model/transcript_fixture.h"

namespace stockade::model {
namespace {

enum class Side { request, body, stream };

struct Transcript {
  const char* name;
  Api api;
  Side side;
  Framing framing = Framing::body;
};

const Transcript kTranscripts[] = {
    {"responses_request", Api::openai_responses, Side::request},
    {"chat_request", Api::openai_chat, Side::request},
    {"anthropic_request", Api::anthropic_messages, Side::request},
    {"gemini_request", Api::gemini, Side::request},
    {"ollama_request", Api::ollama_chat, Side::request},
    {"generate_request", Api::ollama_generate, Side::request},
    {"responses_body", Api::openai_responses, Side::body},
    {"chat_body", Api::openai_chat, Side::body},
    {"anthropic_body", Api::anthropic_messages, Side::body},
    {"gemini_body", Api::gemini, Side::body},
    {"ollama_body", Api::ollama_chat, Side::body},
    {"responses_sse", Api::openai_responses, Side::stream, Framing::sse},
    {"responses_hosted_sse", Api::openai_responses, Side::stream, Framing::sse},
    {"chat_sse", Api::openai_chat, Side::stream, Framing::sse},
    {"anthropic_sse", Api::anthropic_messages, Side::stream, Framing::sse},
    {"gemini_sse", Api::gemini, Side::stream, Framing::sse},
    {"gemini_partial_sse", Api::gemini, Side::stream, Framing::sse},
    {"gemini_array", Api::gemini, Side::stream, Framing::json_array},
    {"ollama_lines", Api::ollama_chat, Side::stream, Framing::json_lines},
    {"generate_lines", Api::ollama_generate, Side::stream, Framing::json_lines},
};

TEST(Transcripts, SayWhatHappens) {
  for (const Transcript& one : kTranscripts) {
    const std::string bytes = read_transcript(one.name);
    ASSERT_FALSE(bytes.empty()) << one.name;
    const std::string got = one.side == Side::request ? request_happenings(one.api, bytes)
                            : one.side == Side::body  ? body_happenings(one.api, bytes)
                                                      : stream_happenings(one.api, one.framing, bytes);
    const std::string file = std::string(one.name) + ".happenings";
    if (std::getenv("STOCKADE_WRITE_TRANSCRIPTS")) std::ofstream(MODEL_TRANSCRIPTS "/" + file) << got;
    EXPECT_EQ(got, read_transcript(file)) << one.name;
  }
}

TEST(Transcripts, SayTheSameHoweverTheyAreCut) {
  for (const Transcript& one : kTranscripts) {
    if (one.side != Side::stream) continue;
    const std::string bytes = read_transcript(one.name);
    const std::string whole = stream_happenings(one.api, one.framing, bytes);
    for (const size_t piece : {1, 2, 3, 7, 64, 1000})
      EXPECT_EQ(stream_happenings(one.api, one.framing, bytes, piece), whole) << one.name << " in pieces of " << piece;
  }
}

TEST(Transcripts, SayWhereThingsStand) {
  for (const Transcript& one : kTranscripts) {
    if (one.side != Side::request) continue;
    const std::string bytes = read_transcript(one.name);
    JsonDocument document;
    ASSERT_TRUE(document.read(bytes)) << one.name;
    const auto happenings = read_request(one.api, bytes);
    ASSERT_TRUE(happenings) << one.name;
    for (const Happening& happening : *happenings) {
      EXPECT_EQ(find_pointer(document, happening.pointer).range(), happening.range) << one.name << happening.pointer;
      if (happening.text.empty()) continue;
      EXPECT_EQ("\"" + std::string(happening.text.raw) + "\"",
                bytes.substr(happening.range.begin, happening.range.end - happening.range.begin));
    }
  }
}

TEST(Transcripts, TellACutStream) {
  for (const Transcript& one : kTranscripts) {
    if (one.side != Side::stream || one.api == Api::gemini) continue;
    const std::string bytes = read_transcript(one.name);
    for (size_t cut = 1; cut + 40 < bytes.size(); cut += 17) {
      const std::string got = stream_happenings(one.api, one.framing, bytes.substr(0, cut));
      EXPECT_FALSE(got.ends_with("ended\n")) << one.name << " cut at " << cut << "\n" << got;
    }
  }
}

}  // namespace
}  // namespace stockade::model
