//! Embeds given by an author.

use rookery_model::Timestamp;
use rookery_model::embed::{Embed, EmbedAuthor, EmbedField, EmbedFooter, EmbedMedia};
use serde_json::{Value, json};

use crate::harness::{error, required};
use crate::messages::{create, create_errors};

fn errors(embeds: Value) -> Value {
    create_errors(json!({ "embeds": embeds }))["embeds"].take()
}

fn max(length: usize) -> Value {
    error("BASE_TYPE_MAX_LENGTH", &format!("Must be {length} or fewer in length."))
}

#[test]
fn everything_an_embed_may_have() {
    let message = create(json!({"embeds": [{
        "type": "video", "title": " t ", "description": "d", "url": "https://example.com/a", "color": 0xff_ffff,
        "timestamp": "2021-08-10T11:16:37.020Z",
        "footer": {"text": "f", "icon_url": "attachment://f.png", "proxy_icon_url": "https://evil"},
        "image": {"url": "https://example.com/i.png", "width": 5}, "thumbnail": {"url": "http://example.com/t.png"},
        "author": {"name": "a", "url": "https://example.com", "icon_url": "https://example.com/a.png"},
        "fields": [{"name": "n", "value": "v", "inline": true}, {"name": "n2", "value": "v2"}],
        "provider": {"name": "p"}, "video": {"url": "https://v"},
    }]}));
    let media = |url: &str| Some(EmbedMedia { url: Some(url.into()), ..Default::default() });
    let field = |name: &str, value: &str, inline| EmbedField { name: name.into(), value: value.into(), inline };
    let expected = Embed {
        kind: "rich".into(),
        title: Some("t".into()),
        description: Some("d".into()),
        url: Some("https://example.com/a".into()),
        timestamp: Timestamp::parse("2021-08-10T11:16:37.020Z"),
        color: Some(0xff_ffff),
        footer: Some(EmbedFooter {
            text: "f".into(),
            icon_url: Some("attachment://f.png".into()),
            proxy_icon_url: None,
        }),
        image: media("https://example.com/i.png"),
        thumbnail: media("http://example.com/t.png"),
        author: Some(EmbedAuthor {
            name: "a".into(),
            url: Some("https://example.com".into()),
            icon_url: Some("https://example.com/a.png".into()),
            proxy_icon_url: None,
        }),
        fields: vec![field("n", "v", true), field("n2", "v2", false)],
        ..Default::default()
    };
    assert_eq!(message.embeds, [expected]);
}

#[test]
fn every_text_has_its_limit() {
    let x = |length: usize| "x".repeat(length);
    assert_eq!(
        errors(json!([
            {"title": x(257)}, {"description": x(4_097)}, {"footer": {"text": x(2_049)}}, {"author": {"name": x(257)}},
            {"fields": [{"name": x(257), "value": x(1_025)}]}, {"url": format!("https://a/{}", x(2_048)), "title": "t"},
        ])),
        json!({
            "0": {"title": max(256)}, "1": {"description": max(4_096)}, "2": {"footer": {"text": max(2_048)}},
            "3": {"author": {"name": max(256)}}, "4": {"fields": {"0": {"name": max(256), "value": max(1_024)}}},
            "5": {"url": max(2_048)},
        })
    );
    let fields: Vec<Value> = (0..26).map(|_| json!({"name": "n", "value": "v"})).collect();
    assert_eq!(errors(json!([{"title": "t", "fields": fields}])), json!({"0": {"fields": max(25)}}));
    let eleven: Vec<Value> = (0..11).map(|_| json!({"title": "t"})).collect();
    assert_eq!(errors(json!(eleven)), max(10));
}

#[test]
fn all_embeds_together_have_6000_characters() {
    let embed = |chars: usize| json!({"description": "ü".repeat(chars)});
    assert_eq!(create(json!({"embeds": [embed(4_000), embed(2_000)]})).embeds.len(), 2);
    assert_eq!(
        errors(json!([embed(4_000), embed(2_000), {"footer": {"text": "f"}}])),
        error("MAX_EMBED_SIZE_EXCEEDED", "Embed size exceeds maximum size of 6000")
    );
}

#[test]
fn what_an_embed_needs() {
    assert_eq!(
        errors(json!([
            {}, {"color": 5}, {"title": " "}, {"fields": []}, {"footer": {}}, {"author": {"url": "https://a"}},
            {"image": {}}, {"fields": [{}]}, null, "x",
        ])),
        json!({
            "0": {"description": required()}, "1": {"description": required()}, "2": {"description": required()},
            "3": {"description": required()}, "4": {"description": required()},
            "5": {"description": required()}, "6": {"description": required()},
            "7": {"fields": {"0": {"name": required(), "value": required()}}}, "8": required(),
            "9": error("DICT_TYPE_CONVERT", "Only dictionaries may be used in a DictType"),
        })
    );
}

#[test]
fn what_has_nothing_to_show_is_left_out() {
    for nothing in [json!({}), json!({"text": null, "name": null}), json!({"text": " ", "icon_url": "https://a/b"})] {
        let message =
            create(json!({"embeds": [{"title": "t", "footer": nothing, "author": nothing, "image": {"url": null}}]}));
        let embed = &message.embeds[0];
        assert_eq!((&embed.footer, &embed.author, &embed.image), (&None, &None, &None), "{nothing}");
    }
    // What they hold besides is read all the same.
    assert_eq!(
        errors(json!([{"title": "t", "footer": {"text": 5}, "author": {"icon_url": "here"}}])),
        json!({"0": {
            "footer": {"text": error("STRING_TYPE_CONVERT", "Could not interpret \"5\" as string.")},
            "author": {"icon_url": error("URL_TYPE_INVALID_URL", "Not a well formed URL.")},
        }})
    );
}

#[test]
fn wrong_values() {
    let scheme = |known: &str| {
        let message = format!("Scheme \"ftp\" is not supported. Scheme must be one of ({known}).");
        error("URL_TYPE_INVALID_SCHEME", &message)
    };
    let no_url = || error("URL_TYPE_INVALID_URL", "Not a well formed URL.");
    assert_eq!(
        errors(json!([{
            "title": "t", "url": "ftp://a", "color": 16_777_216, "timestamp": 5,
            "image": {"url": "ftp://a"}, "thumbnail": {"url": "here"}, "author": {"name": "a", "url": "attachment://a"},
            "fields": [{"name": "n", "value": "v", "inline": 1}],
        }])),
        json!({"0": {
            "url": scheme("'http', 'https'"),
            "color": error("NUMBER_TYPE_MAX", "int value should be less than or equal to 16777215."),
            "timestamp": error("DATE_TIME_TYPE_PARSE", "Could not parse 5. Should be ISO8601."),
            "image": {"url": scheme("'http', 'https', 'attachment'")},
            "thumbnail": {"url": no_url()},
            "author": {"url": error(
                "URL_TYPE_INVALID_SCHEME",
                "Scheme \"attachment\" is not supported. Scheme must be one of ('http', 'https').",
            )},
            "fields": {"0": {"inline": error("BOOLEAN_TYPE_CONVERT", "Must be either true or false.")}},
        }})
    );
}

#[test]
fn an_embed_without_content_is_a_message() {
    let message = create(json!({"embeds": [{"image": {"url": "https://example.com/i.png"}}]}));
    assert_eq!((message.content.as_str(), message.embeds.len()), ("", 1));
    assert_eq!(errors(json!({"title": "t"})), error("LIST_TYPE_CONVERT", "Only iterables may be used in a ListType"));
}
