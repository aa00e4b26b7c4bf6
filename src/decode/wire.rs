//! The protobuf wire format: tags, varints, lengths.
