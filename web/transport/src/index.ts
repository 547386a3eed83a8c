export * from "./codes.ts";
export * from "./gateway_client.ts";
export type { Payload } from "./codec.ts";
export type { Closed, Connect, Encoding, Endpoints, Message, Transport, TransportHandlers } from "./transport.ts";
export { connectWebSocket } from "./transport_websocket.ts";
export { connectWebTransport } from "./transport_webtransport.ts";
