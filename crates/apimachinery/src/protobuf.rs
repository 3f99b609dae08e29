//! Protocol Buffers wire format: reads and writes the fields of a message. Knows no message type.

/// Maximum number of fields per message that is read; a body could contain very many.
const FIELDS_MAX: usize = 10_000;

/// Value of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldValue<'b> {
    /// Integer or boolean.
    Number(u64),
    /// String, bytes or message.
    Bytes(&'b [u8]),
    /// Fixed-length number. No message that is read here has one.
    Fixed,
}

/// Parses the fields of a message, in the order sent; `None` if it is malformed.
pub fn parse_fields(mut message: &[u8]) -> Option<Vec<(u64, FieldValue<'_>)>> {
    let mut fields = Vec::new();
    while !message.is_empty() {
        if fields.len() == FIELDS_MAX {
            return None;
        }
        let tag = varint(&mut message)?;
        let value = match tag & 7 {
            0 => FieldValue::Number(varint(&mut message)?),
            1 => skip(&mut message, 8)?,
            5 => skip(&mut message, 4)?,
            2 => {
                let len = usize::try_from(varint(&mut message)?).ok()?;
                let (bytes, rest) = message.split_at_checked(len)?;
                message = rest;
                FieldValue::Bytes(bytes)
            }
            _ => return None,
        };
        fields.push((tag >> 3, value));
    }
    Some(fields)
}

fn skip<'b>(message: &mut &'b [u8], len: usize) -> Option<FieldValue<'b>> {
    let (_, rest) = message.split_at_checked(len)?;
    *message = rest;
    Some(FieldValue::Fixed)
}

fn varint(message: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = message.split_first()?;
        *message = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// Appends an integer or boolean field.
pub fn put_number(out: &mut Vec<u8>, field: u64, value: u64) {
    put_varint(out, field << 3);
    put_varint(out, value);
}

/// Appends a floating-point field.
pub fn put_double(out: &mut Vec<u8>, field: u64, value: f64) {
    put_varint(out, field << 3 | 1);
    out.extend_from_slice(&value.to_le_bytes());
}

/// Appends a string, bytes or message field.
pub fn put_bytes(out: &mut Vec<u8>, field: u64, value: &[u8]) {
    put_varint(out, field << 3 | 2);
    put_varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(0x80 | u8::try_from(value & 0x7f).unwrap_or_default());
        value >>= 7;
    }
    out.push(u8::try_from(value).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_messages_can_be_decoded() {
        let mut message = Vec::new();
        put_number(&mut message, 1, 0);
        put_number(&mut message, 300, u64::MAX);
        put_double(&mut message, 2, 1.5);
        put_bytes(&mut message, 3, &[7; 200]);
        let expected = [
            (1, FieldValue::Number(0)),
            (300, FieldValue::Number(u64::MAX)),
            (2, FieldValue::Fixed),
            (3, FieldValue::Bytes(&[7; 200])),
        ];
        assert_eq!(parse_fields(&message).as_deref(), Some(&expected[..]));
    }

    #[test]
    fn truncated_messages_and_those_with_too_many_fields_are_malformed() {
        for message in [&[0x0a_u8][..], &[0x0a, 5, 1], &[0x09, 1], &[0x0d, 1], &[0x0b], &[0xff; 11]]
        {
            assert_eq!(parse_fields(message), None, "{message:?}");
        }
        assert_eq!(parse_fields(&[8, 0].repeat(FIELDS_MAX)).map(|all| all.len()), Some(FIELDS_MAX));
        assert_eq!(parse_fields(&[8, 0].repeat(FIELDS_MAX + 1)), None);
    }
}
