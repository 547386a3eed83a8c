//! What the server says to an offer.

use std::fmt::Write;
use std::net::SocketAddr;

use super::LocalTransport;
use super::codec::{Codec, NegotiatedCodec};
use super::offer::Offer;
use super::section::Section;

/// Of a host candidate (RFC 8445, section 5.1.2.1).
const CANDIDATE_PRIORITY: u32 = (126 << 24) | (65_535 << 8) | 255;

/// Where the server is, as clients of the API expect it.
pub(super) fn trimmed(local: &LocalTransport<'_>) -> String {
    let mut out = Text(String::with_capacity(512));
    if let Some(first) = local.candidates.first() {
        out.line(format_args!("m=audio {} ICE/SDP", first.port()));
        out.line(format_args!("a=fingerprint:{}", local.fingerprint));
        out.line(format_args!("c=IN {}", Connection(*first)));
        out.line(format_args!("a=rtcp:{}", first.port()));
    }
    out.line(format_args!("a=ice-ufrag:{}", local.credentials.ufrag()));
    out.line(format_args!("a=ice-pwd:{}", local.credentials.password()));
    out.line(format_args!("a=fingerprint:{}", local.fingerprint));
    out.candidates(local, "\n");
    out.0
}

/// A whole description that answers each section.
pub(super) fn whole(offer: &Offer, local: &LocalTransport<'_>) -> String {
    let mut out = Text(String::with_capacity(4_096));
    out.crlf(format_args!("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=ice-lite"));
    let mut bundle = String::from("a=group:BUNDLE");
    for (section, codecs) in offer.sections.iter().zip(&offer.codecs) {
        if let (Some(mid), false) = (&section.mid, codecs.is_empty()) {
            bundle.push(' ');
            bundle.push_str(mid);
        }
    }
    out.crlf(format_args!("{bundle}\r\na=msid-semantic: WMS *"));
    if offer.is_allow_mixed {
        out.crlf(format_args!("a=extmap-allow-mixed"));
    }
    for (section, codecs) in offer.sections.iter().zip(&offer.codecs) {
        match &section.mid {
            Some(mid) if !codecs.is_empty() => out.section(section, mid, codecs, local),
            mid => out.refusal(section, mid.as_deref()),
        }
    }
    out.0
}

struct Text(String);

impl Text {
    fn line(&mut self, text: std::fmt::Arguments<'_>) {
        // Writing to a string does not fail.
        let _ = writeln!(self.0, "{text}");
    }
    fn crlf(&mut self, text: std::fmt::Arguments<'_>) {
        let _ = write!(self.0, "{text}\r\n");
    }

    fn candidates(&mut self, local: &LocalTransport<'_>, end: &str) {
        for (n, address) in local.candidates.iter().enumerate() {
            let (foundation, priority) = (n + 1, CANDIDATE_PRIORITY - 256 * n as u32);
            let (ip, port) = (address.ip(), address.port());
            let _ = write!(self.0, "a=candidate:{foundation} 1 UDP {priority} {ip} {port} typ host{end}");
        }
    }

    fn section(&mut self, section: &Section, mid: &str, codecs: &[NegotiatedCodec], local: &LocalTransport<'_>) {
        let kind = if codecs.iter().all(|codec| codec.codec.is_audio()) { "audio" } else { "video" };
        let first = local.candidates.first();
        let port = first.map_or(9, |first| first.port());
        let _ = write!(self.0, "m={kind} {port} {}", section.protocol);
        for codec in codecs {
            let _ = write!(self.0, " {}", codec.payload_type);
            if let Some(rtx) = codec.rtx_payload_type {
                let _ = write!(self.0, " {rtx}");
            }
        }
        self.crlf(format_args!(""));
        if let Some(first) = first {
            self.crlf(format_args!("c=IN {}", Connection(*first)));
        }
        self.crlf(format_args!("a=ice-ufrag:{}", local.credentials.ufrag()));
        self.crlf(format_args!("a=ice-pwd:{}", local.credentials.password()));
        self.crlf(format_args!("a=fingerprint:{}\r\na=setup:passive\r\na=mid:{mid}", local.fingerprint));
        self.candidates(local, "\r\n");
        self.crlf(format_args!("a=end-of-candidates\r\na={}\r\na=rtcp-mux", section.direction.mirrored().name()));
        if section.rtcp_rsize {
            self.crlf(format_args!("a=rtcp-rsize"));
        }
        for (id, uri) in section.extensions.iter() {
            self.crlf(format_args!("a=extmap:{id} {uri}"));
        }
        for codec in codecs {
            self.codec(codec);
        }
        if section.simulcast && section.direction.client_sends() && !section.rids.is_empty() {
            for rid in &section.rids {
                self.crlf(format_args!("a=rid:{rid} recv"));
            }
            self.crlf(format_args!("a=simulcast:recv {}", section.rids.join(";")));
        }
    }

    fn codec(&mut self, codec: &NegotiatedCodec) {
        let number = codec.payload_type;
        self.crlf(format_args!("a=rtpmap:{number} {}", codec.codec.encoding()));
        for what in &codec.feedback {
            self.crlf(format_args!("a=rtcp-fb:{number} {what}"));
        }
        match codec.codec {
            // What the server likes to get: repair of single losses, and silence that costs nothing.
            Codec::Opus => self.crlf(format_args!("a=fmtp:{number} minptime=10;useinbandfec=1;usedtx=1")),
            _ if codec.parameters.is_empty() => {}
            _ => self.crlf(format_args!("a=fmtp:{number} {}", codec.parameters)),
        }
        if let Some(rtx) = codec.rtx_payload_type {
            self.crlf(format_args!("a=rtpmap:{rtx} rtx/90000\r\na=fmtp:{rtx} apt={number}"));
        }
    }

    fn refusal(&mut self, section: &Section, mid: Option<&str>) {
        let kind = match section.kind {
            super::MediaKind::Audio => "audio",
            super::MediaKind::Video => "video",
            super::MediaKind::Other => "application",
        };
        self.crlf(format_args!("m={kind} 0 {} {}\r\nc=IN IP4 0.0.0.0", section.protocol, section.formats));
        if let Some(mid) = mid {
            self.crlf(format_args!("a=mid:{mid}"));
        }
        self.crlf(format_args!("a=inactive"));
    }
}

/// As in `c=IN`.
struct Connection(SocketAddr);

impl std::fmt::Display for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "IP{} {}", if self.0.is_ipv4() { 4 } else { 6 }, self.0.ip())
    }
}
