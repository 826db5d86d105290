/** Calls a running gateway, whose address and key come from the environment, and takes one event of it. */
import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { type GatewayEvent, gatewayClient, readEvent } from "../src/index.js";

const address = process.env["GATEWAY_ADDRESS"] ?? "";
const key = process.env["GATEWAY_KEY"] ?? "";
const client = gatewayClient({ address, key });

const ready = await client.GET("/readyz");
assert.equal(ready.data?.status, "ready");

const listed = await client.GET("/v1/connections", { params: { query: { state: "active", limit: 1 } } });
const connection = listed.data?.connections[0];
assert.ok(connection, "there is a connection");
assert.equal(connection.display_name, "Alice");

const named = { params: { header: { "Idempotency-Key": "sdk-invite" } } };
const first = await client.POST("/v1/invitations", named);
const second = await client.POST("/v1/invitations", named);
assert.equal(first.response.status, 201);
assert.deepEqual(first.data, second.data);

const refused = await client.POST("/v1/connections/{connection_id}/data-requests", {
  params: { path: { connection_id: "018f6b1e-7c1a-7000-8000-000000000001" } },
  body: { field: "address", purpose: "delivery" },
});
assert.equal(refused.error?.error.code, "not_found");

const stranger = await gatewayClient({ address, key: "nothing" }).GET("/v1/connections");
assert.equal(stranger.error?.error.code, "unauthorized");

let secret = "";
const taken = new Promise<GatewayEvent>((resolve, reject) => {
  const server = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on("data", (part: Buffer) => parts.push(part));
    request.on("end", () => {
      const header = (name: string) => request.headers[name]?.toString();
      const body = Buffer.concat(parts).toString("utf8");
      response.writeHead(204).end();
      server.close();
      readEvent(secret, header, body)
        .then(async (event) => {
          await assert.rejects(readEvent(secret, header, `${body} `), "another body");
          await assert.rejects(readEvent(secret, header, body, Date.now() / 1000 + 301), "another time");
          await assert.rejects(readEvent(`whsec_${btoa("x".repeat(32))}`, header, body), "another secret");
          resolve(event);
        })
        .catch(reject);
    });
  });
  server.listen(0, "127.0.0.1", () => {
    const { port } = server.address() as AddressInfo;
    void (async () => {
      const added = await client.POST("/v1/webhooks", { body: { url: `http://127.0.0.1:${port}/`, events: [] } });
      assert.ok(added.data);
      secret = added.data.secret;
      const path = { webhook_id: added.data.webhook_id };
      await client.POST("/v1/webhooks/{webhook_id}/test", { params: { path } });
    })().catch(reject);
  });
});
const event = await taken;
assert.equal(event.type, "webhook.test");
console.log(JSON.stringify({ connection: connection.connection_id, event: event.id }));
