//! Ids, entities, permissions, protocol codes, errors and the calls between edge and region.
