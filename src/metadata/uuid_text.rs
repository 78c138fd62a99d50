//! Ids as Kafka writes them in files and prints them: 22 letters of base64url without padding (`Uuid.toString`).

use uuid::Uuid;

const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// The text of an id.
pub fn of(id: Uuid) -> String {
    // 128 bits are 21 letters of six bits and one of two, which stand at its top.
    let bits = id.as_u128();
    let letter = |i: u32| if i < 21 { (bits >> (122 - 6 * i)) & 63 } else { (bits & 3) << 4 };
    (0..22).map(|i| char::from(LETTERS[letter(i) as usize])).collect()
}

/// The id of a text; `None` if it is none.
pub fn parse(text: &str) -> Option<Uuid> {
    let value = |byte: u8| LETTERS.iter().position(|letter| *letter == byte).map(|at| at as u128);
    let values: Vec<u128> = text.bytes().map(value).collect::<Option<_>>()?;
    let (last, first) = values.split_last()?;
    if first.len() != 21 || last & 15 != 0 {
        return None;
    }
    let bits = first.iter().fold(0, |bits, value| bits << 6 | value);
    Some(Uuid::from_u128(bits << 2 | last >> 4))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_metadata_topic_has_the_text_that_kafka_gives_it() {
        assert_eq!(of(Uuid::from_u128(1)), "AAAAAAAAAAAAAAAAAAAAAQ");
        let id = Uuid::from_u128(0x0123_4567_89ab_cdef_fedc_ba98_7654_3210);
        assert_eq!(parse(&of(id)), Some(id));
        for not_one in ["", "AAAAAAAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAAAAAAAR", "AAAAAAAAAAAAAAAAAAAA+Q"] {
            assert_eq!(parse(not_one), None, "{not_one}");
        }
    }
}
