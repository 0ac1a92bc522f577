//! The faults of a provider, and when they happen.

use std::{fmt, str::FromStr, time::Duration};

use forethought_api::{Error, Result};

/// A fault of a provider or of the network.
///
/// A request triggers one with the header `x-mock-fault: cut`, or with a model name that ends in `!cut`. The forms:
/// `rate-limit[:MS]`, `status:CODE`, `unauthorized`, `slow:MS`, `hang`, `stall`, `cut`, `truncate`, `malformed`,
/// `wrong-usage`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// 429; `Retry-After` (whole seconds) and `retry-after-ms` say when to retry.
    RateLimit(Duration),
    /// Any other status, with an error in the provider's form.
    Status(u16),
    /// 401.
    Unauthorized,
    /// The right answer, late.
    Slow(Duration),
    /// No answer, forever.
    Hang,
    /// Half an answer, then nothing, forever.
    Stall,
    /// Half an answer, then the connection is closed.
    Cut,
    /// Half an answer that ends as if it were complete.
    Truncate,
    /// A status of 200 and a body that is not JSON.
    Malformed,
    /// The right answer, with impossible token counts.
    WrongUsage,
}

/// In the form that [`FromStr`] reads.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RateLimit(wait) => write!(f, "rate-limit:{}", wait.as_millis()),
            Self::Status(code) => write!(f, "status:{code}"),
            Self::Unauthorized => f.write_str("unauthorized"),
            Self::Slow(wait) => write!(f, "slow:{}", wait.as_millis()),
            Self::Hang => f.write_str("hang"),
            Self::Stall => f.write_str("stall"),
            Self::Cut => f.write_str("cut"),
            Self::Truncate => f.write_str("truncate"),
            Self::Malformed => f.write_str("malformed"),
            Self::WrongUsage => f.write_str("wrong-usage"),
        }
    }
}

impl FromStr for Fault {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (name, number) = match text.split_once(':') {
            Some((name, number)) => {
                let number: u64 = number
                    .parse()
                    .map_err(|_| Error::input(format!("fault {text:?}: expected a number after `:`")))?;
                (name, Some(number))
            }
            None => (text, None),
        };
        Ok(match (name, number) {
            ("rate-limit", ms) => Self::RateLimit(Duration::from_millis(ms.unwrap_or(1000))),
            ("status", Some(code @ 400..=599)) => Self::Status(code as u16),
            ("unauthorized", None) => Self::Unauthorized,
            ("slow", Some(ms)) => Self::Slow(Duration::from_millis(ms)),
            ("hang", None) => Self::Hang,
            ("stall", None) => Self::Stall,
            ("cut", None) => Self::Cut,
            ("truncate", None) => Self::Truncate,
            ("malformed", None) => Self::Malformed,
            ("wrong-usage", None) => Self::WrongUsage,
            _ => {
                return Err(Error::input(format!(
                    "{text:?} is not a fault; known are rate-limit[:MS], status:CODE (400 to 599), unauthorized, slow:MS, \
                     hang, stall, cut, truncate, malformed, wrong-usage"
                )));
            }
        })
    }
}

/// A random fault. The requests that it affects depend on the seed and their content, never on the order in which they
/// arrive.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rule {
    /// What happens.
    pub fault: Fault,
    /// Share of contents that are affected, within [0, 1].
    pub share: f64,
    /// Number of requests of such a content that fail before one is answered.
    pub times: u64,
}

/// `FAULT[=SHARE[xTIMES]]`: `rate-limit:50=0.1x2` affects the first two requests of a tenth of all contents.
impl FromStr for Rule {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (fault, chance) = text.split_once('=').unwrap_or((text, "1"));
        let (share, times) = chance.split_once('x').unwrap_or((chance, "1"));
        let number =
            |_| Error::input(format!("fault {text:?}: expected FAULT=SHARExTIMES, as in `cut=0.1x2`"));
        Ok(Self {
            fault: fault.parse()?,
            share: share.parse().map_err(|_| number(()))?,
            times: times.parse().map_err(|_| number(()))?,
        })
    }
}

/// The fault of a request with this content after `earlier` others with the same content.
pub(crate) fn strike(rules: &[Rule], seed: u64, content: &str, earlier: u64) -> Option<Fault> {
    let hash = blake3::Hasher::new().update(&seed.to_le_bytes()).update(content.as_bytes()).finalize();
    let bytes = hash.as_bytes().first_chunk().expect("a hash is longer");
    // 53 bits fit a double exactly.
    let mut draw = (u64::from_le_bytes(*bytes) >> 11) as f64 / (1_u64 << 53) as f64;
    for rule in rules {
        if draw < rule.share {
            return (earlier < rule.times).then_some(rule.fault);
        }
        draw -= rule.share;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_written_as_documented() {
        let rule: Rule = "rate-limit:50=0.1x2".parse().unwrap();
        assert_eq!(rule, Rule { fault: Fault::RateLimit(Duration::from_millis(50)), share: 0.1, times: 2 });
        assert_eq!("hang".parse::<Rule>().unwrap(), Rule { fault: Fault::Hang, share: 1.0, times: 1 });
        for fault in ["rate-limit:50", "status:503", "unauthorized", "slow:20", "stall", "wrong-usage"] {
            assert_eq!(fault.parse::<Fault>().unwrap().to_string(), fault);
        }
        for wrong in ["", "cut:1", "status", "status:200", "slow", "cut=x", "cut=0.5x-1", "nothing"] {
            assert!(wrong.parse::<Rule>().is_err(), "{wrong:?} was accepted");
        }
    }

    #[test]
    fn a_share_of_contents_is_affected_as_often_as_configured() {
        let rules = ["cut=0.2x2".parse().unwrap(), "hang=0.3".parse().unwrap()];
        let struck = |fault, earlier| {
            (0..2000).filter(|n| strike(&rules, 7, &n.to_string(), earlier) == Some(fault)).count()
        };
        assert!((340..460).contains(&struck(Fault::Cut, 0)), "{}", struck(Fault::Cut, 0));
        assert_eq!(struck(Fault::Cut, 0), struck(Fault::Cut, 1));
        assert_eq!(struck(Fault::Cut, 2), 0);
        assert!((520..680).contains(&struck(Fault::Hang, 0)), "{}", struck(Fault::Hang, 0));
        assert_eq!(struck(Fault::Hang, 1), 0);
    }
}
