// The gateway over WebSocket.

import { ABNORMAL, type Connect, type Message, type Transport } from "./transport.ts";

/** Opens a WebSocket. */
export const connectWebSocket: Connect = (endpoints, encoding, handlers, signal) =>
  new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const socket = new WebSocket(`${endpoints.url.replace(/\/+$/, "")}/?v=10&encoding=${encoding}`);
    socket.binaryType = "arraybuffer";
    let isOpen = false;
    const giveUp = () => socket.close();
    signal.addEventListener("abort", giveUp);
    socket.onopen = () => {
      isOpen = true;
      signal.removeEventListener("abort", giveUp);
      resolve(new WebSocketTransport(socket));
    };
    socket.onmessage = ({ data }: MessageEvent<string | ArrayBuffer>) =>
      handlers.message(typeof data === "string" ? data : new Uint8Array(data));
    // A close always follows an error, and says more.
    socket.onclose = ({ code, reason }) => {
      signal.removeEventListener("abort", giveUp);
      if (isOpen) handlers.closed(code === ABNORMAL.code ? ABNORMAL : { code, reason });
      else reject(signal.aborted ? signal.reason : new Error("the WebSocket could not be opened"));
    };
  });

class WebSocketTransport implements Transport {
  readonly kind = "websocket";
  readonly #socket: WebSocket;

  constructor(socket: WebSocket) {
    this.#socket = socket;
  }

  send(message: Message): void {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(message as string | Uint8Array<ArrayBuffer>);
  }

  close(code: number, reason: string): void {
    this.#socket.close(code, reason);
  }
}
