// Serves the bytes of FILE on loopback to the real client library of an API, and prints what the library made of them.
//   node clients.mjs PACKAGES CLIENT FILE STATUS CONTENT_TYPE
import http from 'node:http';
import fs from 'node:fs';
import path from 'node:path';
import { createRequire } from 'node:module';

const [packages, client, file, status, contentType] = process.argv.slice(2);
const require = createRequire(path.join(packages, 'package.json'));
const bytes = fs.readFileSync(file);
let requests = 0;

const server = http.createServer((request, response) => {
  request.resume();
  request.on('end', () => {
    ++requests;
    response.writeHead(Number(status), { 'content-type': contentType, 'x-should-retry': 'false' });
    // In pieces, as a network would.
    for (let at = 0; at < bytes.length; at += 100) response.write(bytes.subarray(at, at + 100));
    response.end();
  });
});
await new Promise((done) => server.listen(0, '127.0.0.1', done));
const base = `http://127.0.0.1:${server.address().port}`;

const made = { calls: [], text: '', stop: null, error: null, status: null };
const call = (name, args) => made.calls.push([name, typeof args === 'string' ? JSON.parse(args) : args]);

function openai() {
  const { OpenAI } = require('openai');
  return new OpenAI({ apiKey: 'k', baseURL: base + '/v1' });
}
function takeResponse(response) {
  made.text = response.output_text;
  made.stop = response.status;
  response.output.forEach((item, at) => {
    if (!item) throw new Error('a hole in output at ' + at);
    if (item.type === 'function_call') call(item.name, item.arguments);
  });
}
function takeChat(completion) {
  const [choice] = completion.choices;
  made.text = choice.message.content ?? '';
  made.stop = choice.finish_reason;
  for (const one of choice.message.tool_calls ?? []) {
    if (!one) throw new Error('a hole in tool_calls');
    call(one.function.name, one.function.arguments);
  }
}
function takeMessage(message) {
  made.stop = message.stop_reason;
  for (const block of message.content) {
    if (!block) throw new Error('a hole in content');
    if (block.type === 'text') made.text += block.text;
    if (block.type.endsWith('tool_use')) call(block.name, block.input);
  }
}
function takeGemini(chunk) {
  for (const part of chunk.candidates?.[0]?.content?.parts ?? []) {
    if (part.text && !part.thought) made.text += part.text;
    if (part.functionCall) call(part.functionCall.name, part.functionCall.args);
  }
  made.stop = chunk.candidates?.[0]?.finishReason ?? made.stop;
}
function takeOllama(chunk) {
  made.text += chunk.message.content;
  for (const one of chunk.message.tool_calls ?? []) call(one.function.name, one.function.arguments);
  made.stop = chunk.done_reason ?? made.stop;
}
const ask = { model: 'm', messages: [{ role: 'user', content: 'hi' }] };
const gemini = () => {
  const { GoogleGenAI } = require('@google/genai');
  return new GoogleGenAI({ apiKey: 'k', httpOptions: { baseUrl: base } });
};
const ollama = () => new (require('ollama').Ollama)({ host: base });
const anthropic = () => new (require('@anthropic-ai/sdk').default)({ apiKey: 'k', baseURL: base });

const clients = {
  'openai-responses': async () => takeResponse(await openai().responses.create({ model: 'm', input: 'hi' })),
  'openai-responses stream': async () => takeResponse(await openai().responses.stream({ model: 'm', input: 'hi' }).finalResponse()),
  'openai-chat': async () => takeChat(await openai().chat.completions.create(ask)),
  'openai-chat stream': async () => takeChat(await openai().chat.completions.stream(ask).finalChatCompletion()),
  'anthropic-messages': async () => takeMessage(await anthropic().messages.create({ ...ask, max_tokens: 9 })),
  'anthropic-messages stream': async () => takeMessage(await anthropic().messages.stream({ ...ask, max_tokens: 9 }).finalMessage()),
  'gemini': async () => takeGemini(await gemini().models.generateContent({ model: 'm', contents: 'hi' })),
  'gemini stream': async () => {
    for await (const chunk of await gemini().models.generateContentStream({ model: 'm', contents: 'hi' })) takeGemini(chunk);
  },
  'ollama-chat': async () => takeOllama(await ollama().chat(ask)),
  'ollama-chat stream': async () => {
    for await (const chunk of await ollama().chat({ ...ask, stream: true })) takeOllama(chunk);
  },
};
// Each line of FILE is one message of the server.
async function overWebSocket() {
  const { WebSocketServer } = require('ws');
  const { ResponsesWS } = require('openai/resources/responses/ws');
  const accepted = new WebSocketServer({ server });
  accepted.on('connection', (socket) =>
    socket.on('message', () => bytes.toString().split('\n').filter(Boolean).forEach((line) => socket.send(line))));
  const socket = new ResponsesWS(openai());
  socket.send({ type: 'response.create', model: 'm', input: 'hi' });
  await new Promise((done, failed) => {
    socket.on('error', failed);
    socket.on('response.completed', (event) => {
      takeResponse({ output_text: '', ...event.response });
      for (const item of event.response.output)
        if (item.type === 'message') made.text += item.content.map((part) => part.text).join('');
      done();
    });
  });
  socket.close();
  accepted.close();
}
clients['openai-responses websocket'] = overWebSocket;

try {
  await clients[client]();
} catch (error) {
  made.error = String(error.message ?? error);
  made.status = error.status ?? error.status_code ?? null;
}
made.requests = requests;
console.log(JSON.stringify(made));
process.exit(0);
