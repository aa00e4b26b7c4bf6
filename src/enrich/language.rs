//! The language of a text, cheaply: by script, then by the small words that every sentence has.
//!
//! A trigram model was the largest cost of a span by far (nearly half of the server's time under
//! load), so this counts stop words instead. It answers only when the count is clear; a profile
//! column can say "unsure".

mod word;

use std::sync::LazyLock;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use self::word::{Key, Word, ascii_letters};

/// Words that are looked at: two or three sentences.
const WORDS_MAX: usize = 32;
/// Stop words that must be found, of one language.
const HITS_MIN: usize = 2;
/// So many more hits than any other language has end the count early, looked at every so many words.
const HITS_AHEAD: u8 = 4;
const LOOK_EVERY: usize = 8;
/// Letters of one script among the letters looked at, in percent, for the script to decide.
const SCRIPT_PERCENT_MIN: usize = 60;
/// Letters that are looked at for the script.
const LETTERS_MAX: usize = 120;

/// ISO 639-3 and the frequent words that few other languages share.
const STOP_WORDS: [(&str, &[&str]); 15] = [
    (
        "eng",
        &[
            "the", "of", "and", "is", "you", "that", "for", "are", "with", "this", "what",
            "please", "how", "not", "have", "from", "your", "it", "was", "be",
        ],
    ),
    (
        "spa",
        &[
            "el", "los", "las", "del", "es", "por", "con", "una", "para", "qué", "como", "cómo",
            "está", "pero", "más", "muy", "y", "lo", "mi", "cuál",
        ],
    ),
    (
        "fra",
        &[
            "le", "les", "des", "est", "une", "dans", "pour", "vous", "que", "qui", "avec", "je",
            "pas", "sur", "ce", "du", "et", "au", "quelle", "quel",
        ],
    ),
    (
        "deu",
        &[
            "der", "die", "das", "und", "ist", "nicht", "ein", "eine", "ich", "mit", "für", "auf",
            "den", "wie", "bitte", "sie", "zu", "von", "was", "dem",
        ],
    ),
    (
        "ita",
        &[
            "il", "di", "che", "è", "per", "una", "con", "non", "della", "sono", "gli", "del",
            "come", "questo", "anche", "qual", "mi", "e", "ho", "nel",
        ],
    ),
    (
        "por",
        &[
            "o", "os", "do", "da", "em", "não", "uma", "para", "com", "que", "você", "é", "por",
            "dos", "mais", "como", "qual", "um", "na", "seu",
        ],
    ),
    (
        "nld",
        &[
            "het", "een", "van", "en", "niet", "dat", "op", "te", "voor", "met", "zijn", "ik",
            "wat", "naar", "ook", "aan", "hoe", "deze", "mijn", "is",
        ],
    ),
    (
        "pol",
        &[
            "nie", "się", "na", "jest", "to", "że", "do", "jak", "co", "czy", "przez", "dla",
            "proszę", "oraz", "po", "ale", "tym", "jaki", "które", "mi",
        ],
    ),
    (
        "swe",
        &[
            "och", "att", "det", "som", "är", "för", "inte", "jag", "på", "med", "en", "hur",
            "ett", "av", "till", "kan", "vad", "du", "har", "om",
        ],
    ),
    (
        "dan",
        &[
            "og", "det", "ikke", "jeg", "er", "på", "som", "med", "af", "til", "hvad", "hvordan",
            "kan", "du", "et", "den", "har", "om", "vi", "skal",
        ],
    ),
    (
        "tur",
        &[
            "ve", "bir", "bu", "için", "ne", "ile", "mi", "değil", "çok", "nasıl", "var", "olarak",
            "daha", "ben", "gibi", "lütfen", "mı", "kadar", "bana", "şu",
        ],
    ),
    (
        "ind",
        &[
            "yang",
            "dan",
            "di",
            "untuk",
            "tidak",
            "dengan",
            "ini",
            "itu",
            "saya",
            "apa",
            "bagaimana",
            "ke",
            "dari",
            "adalah",
            "anda",
            "pada",
            "akan",
            "bisa",
            "tolong",
            "atau",
        ],
    ),
    (
        "vie",
        &[
            "là", "của", "và", "không", "có", "cho", "tôi", "được", "một", "này", "trong", "với",
            "các", "như", "gì", "bạn", "thế", "để", "những", "đã",
        ],
    ),
    (
        "rus",
        &[
            "и",
            "в",
            "не",
            "на",
            "что",
            "как",
            "это",
            "с",
            "по",
            "для",
            "я",
            "вы",
            "мне",
            "из",
            "есть",
            "ли",
            "или",
            "но",
            "у",
            "пожалуйста",
        ],
    ),
    (
        "ukr",
        &[
            "і", "не", "на", "що", "як", "це", "з", "для", "я", "ви", "та", "до", "є", "чи", "або",
            "але", "мені", "його", "був", "який",
        ],
    ),
];

/// A count for each language in the order of [`STOP_WORDS`], one byte each: added up by one sum.
type Hits = u128;

const _: () = assert!(STOP_WORDS.len() <= size_of::<Hits>() && WORDS_MAX <= u8::MAX as usize);

/// The languages that have a word, as a hit for each.
static LANGUAGES_OF: LazyLock<HashMap<Key, Hits, RandomState>> = LazyLock::new(|| {
    let mut map = HashMap::default();
    for (at, (_, words)) in STOP_WORDS.iter().enumerate() {
        for text in *words {
            *map.entry(Word::from(*text).key()).or_default() |= 1 << (8 * at);
        }
    }
    map
});

/// ISO 639-3 of a text; empty when unsure.
pub fn language(text: &str) -> &'static str {
    match script(text) {
        Some(code) => code,
        None => by_stop_words(text),
    }
}

/// Scripts that tell the language by themselves.
fn script(text: &str) -> Option<&'static str> {
    // The bytes that letters of these scripts begin with: most texts have none.
    let begins = |byte: u8| matches!(byte, 0xcd..=0xcf | 0xd6..=0xdb | 0xe0 | 0xe3..=0xed);
    if !text.bytes().fold(false, |any, byte| any | begins(byte)) {
        return None;
    }
    let mut counts: [(&str, usize); 8] = [
        ("jpn", 0),
        ("kor", 0),
        ("zho", 0),
        ("ara", 0),
        ("heb", 0),
        ("tha", 0),
        ("hin", 0),
        ("ell", 0),
    ];
    let mut letters = 0;
    for letter in text.chars().filter(|c| c.is_alphabetic()).take(LETTERS_MAX) {
        letters += 1;
        let at = match letter {
            '\u{3040}'..='\u{30ff}' => 0,
            '\u{ac00}'..='\u{d7af}' => 1,
            '\u{4e00}'..='\u{9fff}' => 2,
            '\u{0600}'..='\u{06ff}' => 3,
            '\u{0590}'..='\u{05ff}' => 4,
            '\u{0e00}'..='\u{0e7f}' => 5,
            '\u{0900}'..='\u{097f}' => 6,
            '\u{0370}'..='\u{03ff}' => 7,
            _ => continue,
        };
        counts[at].1 += 1;
    }
    // Japanese is written with Chinese characters and kana: some kana decide.
    let (kana, han) = (counts[0].1, counts[2].1);
    if kana * 5 > kana + han && (kana + han) * 100 >= letters * SCRIPT_PERCENT_MIN {
        return Some("jpn");
    }
    let (code, most) = counts.into_iter().max_by_key(|(_, count)| *count)?;
    (most > 0 && most * 100 >= letters * SCRIPT_PERCENT_MIN).then_some(code)
}

fn by_stop_words(text: &str) -> &'static str {
    let languages_of = &*LANGUAGES_OF;
    let mut hits: Hits = 0;
    let hits_of = |word: &Word| languages_of.get(&word.key()).copied().unwrap_or_default();
    let mut word = Word::default();
    let (mut at, mut words) = (0, 0);
    while words < WORDS_MAX {
        // Nearly all there is, and no need of Unicode's tables.
        let (letters, len) = ascii_letters(text.as_bytes(), at);
        word.push(letters, len);
        at += len;
        if len == 8 {
            continue;
        }
        let letter = match text.as_bytes().get(at) {
            // A digit is part of its word, which then is none of ours.
            Some(byte) if byte.is_ascii() => {
                at += 1;
                byte.is_ascii_digit().then_some(char::from(*byte))
            }
            _ => {
                let Some(next) = text.get(at..).and_then(|rest| rest.chars().next()) else {
                    break;
                };
                at += next.len_utf8();
                Some(next).filter(|next| next.is_alphanumeric())
            }
        };
        if let Some(letter) = letter {
            for lower in letter.to_lowercase() {
                let mut bytes = [0; 8];
                let len = lower.encode_utf8(&mut bytes).len();
                word.push(bytes, len);
            }
        } else if !word.is_empty() {
            hits += hits_of(&word);
            word = Word::default();
            words += 1;
            if words.is_multiple_of(LOOK_EVERY) && is_decided(hits) {
                break;
            }
        }
    }
    if !word.is_empty() {
        hits += hits_of(&word);
    }
    let hits = hits.to_le_bytes().map(usize::from);
    let (best, most) = hits
        .iter()
        .copied()
        .enumerate()
        .max_by_key(|(_, n)| *n)
        .unwrap_or((0, 0));
    let next = hits
        .iter()
        .enumerate()
        .filter(|(at, _)| *at != best)
        .map(|(_, n)| *n)
        .max();
    let clear = most >= HITS_MIN && most > next.unwrap_or(0);
    if clear {
        STOP_WORDS.get(best).map_or("", |(code, _)| code)
    } else {
        ""
    }
}

/// Is one language so far ahead that the rest of the words will not change it?
fn is_decided(hits: Hits) -> bool {
    let (mut most, mut next) = (0, 0);
    for n in hits.to_le_bytes() {
        (most, next) = if n > most {
            (n, most)
        } else {
            (most, next.max(n))
        };
    }
    most >= next + HITS_AHEAD
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_of_many_languages_are_told_apart() {
        for (text, want) in [
            (
                "What is the refund policy for orders that arrived late?",
                "eng",
            ),
            (
                "¿Cuál es la política de reembolso para los pedidos que llegan tarde?",
                "spa",
            ),
            (
                "Quelle est la politique de remboursement pour les commandes en retard ?",
                "fra",
            ),
            (
                "Wie ist die Regelung für Bestellungen, die nicht pünktlich ankommen?",
                "deu",
            ),
            (
                "Qual è la politica di rimborso per gli ordini che sono in ritardo?",
                "ita",
            ),
            (
                "Qual é a política de reembolso para os pedidos que não chegam?",
                "por",
            ),
            (
                "Jaka jest polityka zwrotów, czy to się zmieniło po tym jak nie dotarło?",
                "pol",
            ),
            (
                "Как вернуть деньги, если заказ не пришёл и что для этого нужно?",
                "rus",
            ),
            ("返金ポリシーについて教えてください。", "jpn"),
            ("迟到的订单可以退款吗？请告诉我政策。", "zho"),
            ("환불 정책이 무엇인가요? 알려주세요.", "kor"),
            ("ما هي سياسة استرداد الأموال؟", "ara"),
            ("Ποια είναι η πολιτική επιστροφών;", "ell"),
        ] {
            assert_eq!(language(text), want, "{text}");
        }
    }

    #[test]
    fn what_is_no_sentence_has_no_language() {
        for text in [
            "",
            "42",
            "SELECT x FROM y WHERE z = 1",
            "{\"a\": [1, 2]}",
            "hola",
            "aaa bbb ccc",
        ] {
            assert_eq!(language(text), "", "{text}");
        }
    }
}
