// The Vercel AI SDK, by both of its providers. Asked as the clients in Python are: see telling.py.

import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const installed = createRequire(process.env.CLIENTS_NODE + "/");
const load = async (name) => import(pathToFileURL(installed.resolve(name)));
const { generateText, isStepCount, jsonSchema, streamText, tool } = await load("ai");
const { createOpenAI } = await load("@ai-sdk/openai");
const { createOpenAICompatible } = await load("@ai-sdk/openai-compatible");

const [url, plan] = [process.argv[2], JSON.parse(process.argv[3])];
const compatible = createOpenAICompatible({ name: "guarded", baseURL: url, apiKey: "none" });
const official = createOpenAI({ baseURL: url, apiKey: "none" });
const models = {
  chat: (name) => compatible.chatModel(name),
  responses: (name) => official.responses(name),
};

function asked(kind, one, abortSignal) {
  const called = [];
  const weather = tool({
    description: "The weather in a city.",
    inputSchema: jsonSchema(plan.parameters),
    execute: async ({ location }) => (called.push(location), `Sunny in ${location}.`),
  });
  const options = {
    model: models[kind](one.model),
    prompt: plan.asked,
    maxOutputTokens: one.room,
    maxRetries: 0,
    abortSignal,
    onError: () => {},
    stopWhen: isStepCount(3), // what a call brought is sent back, and answered
    ...(one.offers ? { tools: { get_weather: weather } } : {}),
  };
  return { options, called };
}

async function whole(kind, one) {
  const { options, called } = asked(kind, one);
  const { text, finishReason } = await generateText(options);
  return { text, finish: finishReason, calls: called };
}

async function streamed(kind, one) {
  const leaving = new AbortController();
  const { options, called } = asked(kind, one, leaving.signal);
  let [text, finish, error] = ["", null, null];
  for await (const part of streamText(options).fullStream) {
    if (part.type === "text-delta") text += part.text;
    if (part.type === "finish") finish = part.finishReason;
    if (part.type === "error") error = part.error;
    if (one.case === "disconnect" && text) {
      leaving.abort();
      return { text };
    }
  }
  return error ? { error: error.name ?? error.type ?? "error" } : { text, finish, calls: called };
}

for (const api of Object.keys(models)) {
  for (const [way, ask] of Object.entries({ whole, streamed })) {
    for (const one of plan.cases) {
      if (one.case === "disconnect" && way === "whole") continue;
      const seen = await ask(api, one).catch((error) => ({ error: error.name }));
      console.log(JSON.stringify({ client: "Vercel AI SDK", api, way, case: one.case, ...seen }));
    }
  }
}
