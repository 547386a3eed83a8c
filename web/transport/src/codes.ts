// Generated from model/src/gateway by model/tests/web_codes.rs. Do not edit.

export const Opcode = {
  Dispatch: 0,
  Heartbeat: 1,
  Identify: 2,
  PresenceUpdate: 3,
  VoiceStateUpdate: 4,
  Resume: 6,
  Reconnect: 7,
  RequestGuildMembers: 8,
  InvalidSession: 9,
  Hello: 10,
  HeartbeatAck: 11,
  CallConnect: 13,
  GuildSubscriptions: 14,
  StreamCreate: 18,
  StreamDelete: 19,
  StreamWatch: 20,
  StreamPing: 21,
  StreamSetPaused: 22,
  RequestSoundboardSounds: 31,
  GuildSubscriptionsBulk: 37,
  RequestChannelInfo: 43,
} as const;
export type Opcode = (typeof Opcode)[keyof typeof Opcode];

export const CloseCode = {
  UnknownError: 4000,
  UnknownOpcode: 4001,
  DecodeError: 4002,
  NotAuthenticated: 4003,
  AuthenticationFailed: 4004,
  AlreadyAuthenticated: 4005,
  InvalidSeq: 4007,
  RateLimited: 4008,
  SessionTimedOut: 4009,
  InvalidShard: 4010,
  ShardingRequired: 4011,
  InvalidApiVersion: 4012,
  InvalidIntents: 4013,
  DisallowedIntents: 4014,
} as const;
export type CloseCode = (typeof CloseCode)[keyof typeof CloseCode];

/** After these a client does not come back as it is. */
export const CLOSE_CODES_WITHOUT_RECONNECT: ReadonlySet<number> = new Set([
  CloseCode.AuthenticationFailed,
  CloseCode.InvalidShard,
  CloseCode.ShardingRequired,
  CloseCode.InvalidApiVersion,
  CloseCode.InvalidIntents,
  CloseCode.DisallowedIntents,
]);
