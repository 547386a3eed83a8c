//! What a client can do.

use super::codec::{Codec, NegotiatedCodec};
use super::section::{Direction, ExtensionIds, MediaKind, Section};
use super::text::{Line, attribute, is_ice_text, lines};
use super::{LocalTransport, SdpError, answer};
use crate::fingerprint::Fingerprint;

/// Sections of an offer: sound and pictures of those whom a client hears and sees, if it has one for each.
const SECTIONS_MAX: usize = 128;
/// Codecs of a trimmed offer.
const CODECS_MAX: usize = 32;

/// The client's side of a transport.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteTransport {
    /// How its connectivity checks call it.
    pub ufrag: String,
    /// Of the certificate with which it will come.
    pub fingerprint: Fingerprint,
}

/// What a client can do and how to reach it, of SELECT_PROTOCOL.
///
/// Its password of ICE is not kept: only checks that the server would begin need it, and an agent of ICE-lite begins none.
#[derive(Clone, Debug)]
pub struct Offer {
    pub transport: RemoteTransport,
    pub(super) session: Section,
    /// None in a trimmed offer.
    pub(super) sections: Vec<Section>,
    pub(super) is_allow_mixed: bool,
    /// One list for a trimmed offer, else one for each section.
    pub(super) codecs: Vec<Vec<NegotiatedCodec>>,
}

/// What is said of the transport, wherever it is said.
#[derive(Default)]
struct Transport<'a> {
    ufrag: Option<&'a str>,
    password: Option<&'a str>,
    fingerprint: Option<Fingerprint>,
    is_allow_mixed: bool,
}

impl<'a> Transport<'a> {
    /// False for attributes that say nothing of it.
    fn attribute(&mut self, line: Line<'a>) -> Result<bool, SdpError> {
        let (name, value) = attribute(line.value);
        match name {
            "ice-ufrag" => one(&mut self.ufrag, is_ice_text(value, 4).then_some(value), line)?,
            "ice-pwd" => one(&mut self.password, is_ice_text(value, 22).then_some(value), line)?,
            "fingerprint" => {
                // Those of other hashes may stand beside it.
                if value.get(..8).is_some_and(|hash| hash.eq_ignore_ascii_case("sha-256 ")) {
                    one(&mut self.fingerprint, value.parse().ok(), line)?;
                }
            }
            "setup" if value == "passive" => return Err(SdpError::Passive),
            "extmap-allow-mixed" => self.is_allow_mixed = true,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// The same must be said everywhere.
fn one<T: PartialEq + Copy>(known: &mut Option<T>, value: Option<T>, line: Line<'_>) -> Result<(), SdpError> {
    let value = value.ok_or(SdpError::Line(line.number))?;
    if *known.get_or_insert(value) == value { Ok(()) } else { Err(SdpError::ManyTransports) }
}

impl Offer {
    /// Reads an offer, whole or trimmed.
    pub fn parse(sdp: &str) -> Result<Self, SdpError> {
        let mut transport = Transport::default();
        let mut session = Section::session();
        let mut sections: Vec<Section> = Vec::new();
        for line in lines(sdp)? {
            let line = line?;
            match line.kind {
                'm' if sections.len() >= SECTIONS_MAX => return Err(SdpError::TooMany("sections")),
                'm' => sections.push(Section::new(line)?),
                'a' if !transport.attribute(line)? => sections.last_mut().unwrap_or(&mut session).attribute(line)?,
                _ => {}
            }
        }
        let ufrag = transport.ufrag.ok_or(SdpError::Missing("ice-ufrag"))?.to_owned();
        transport.password.ok_or(SdpError::Missing("ice-pwd"))?;
        let fingerprint = transport.fingerprint.ok_or(SdpError::Missing("fingerprint"))?;
        let codecs = if sections.is_empty() {
            vec![session.trimmed_codecs()]
        } else {
            sections.iter().map(Section::codecs).collect()
        };
        let is_allow_mixed = transport.is_allow_mixed;
        let transport = RemoteTransport { ufrag, fingerprint };
        Ok(Self { transport, session, sections, is_allow_mixed, codecs })
    }

    /// Takes one of SELECT_PROTOCOL's `codecs`, of which a trimmed offer names some only. Those that the server does not
    /// forward are passed over.
    pub fn add_codec(&mut self, name: &str, payload_type: u8, rtx_payload_type: Option<u8>) {
        let (true, Some(codecs)) = (self.is_trimmed(), self.codecs.first_mut()) else { return };
        let codec =
            Codec::from_name(name).and_then(|codec| NegotiatedCodec::listed(codec, payload_type, rtx_payload_type));
        if let Some(codec) = codec
            && codecs.len() < CODECS_MAX
            && !codecs.iter().any(|known| known.payload_type == payload_type)
        {
            codecs.push(codec);
        }
    }

    /// Whether it is a few attributes and no whole description.
    pub fn is_trimmed(&self) -> bool {
        self.sections.is_empty()
    }
    /// The codecs that both sides have, in the client's order. Sections of a whole offer may name the same one.
    pub fn codecs(&self) -> impl Iterator<Item = &NegotiatedCodec> {
        self.codecs.iter().flatten()
    }
    /// The ids of the header extensions that both sides have.
    pub fn extensions(&self) -> ExtensionIds {
        let mut ids = self.session.extensions;
        for section in &self.sections {
            ids.merge(section.extensions);
        }
        ids
    }
    /// The sections of a whole offer that are not refused: name, kind, and who sends in it as the client sees it. Where
    /// [`ExtensionIds::mid`] is agreed on, browsers take packets by that name alone.
    pub fn media(&self) -> impl Iterator<Item = (&str, MediaKind, Direction)> {
        let agreed = self.sections.iter().zip(&self.codecs).filter(|(_, codecs)| !codecs.is_empty());
        agreed.filter_map(|(section, _)| Some((section.mid.as_deref()?, section.kind, section.direction)))
    }
    /// The names of the simulcast layers that a client sends, with the name of their section.
    pub fn simulcast_layers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.sections.iter().filter(|section| section.simulcast).flat_map(|section| {
            let mid = section.mid.as_deref().unwrap_or_default();
            section.rids.iter().map(move |rid| (mid, rid.as_str()))
        })
    }

    /// The answer for SESSION_DESCRIPTION, trimmed if the offer is.
    pub fn answer(&self, local: &LocalTransport<'_>) -> String {
        if self.is_trimmed() { answer::trimmed(local) } else { answer::whole(self, local) }
    }
}
