//! The REST API as pure logic: routes, authentication, validation, response shaping.
