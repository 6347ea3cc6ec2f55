//! What a command is about: a tunnel, or one child of it.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

/// `TUNNEL` or `TUNNEL/CHILD`; no name holds a slash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) tunnel: String,
    pub(super) child: Option<String>,
}

impl FromStr for Target {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (tunnel, child) = match text.split_once('/') {
            Some((tunnel, child)) => (tunnel, Some(child.to_owned())),
            None => (text, None),
        };
        Ok(Self { tunnel: tunnel.to_owned(), child })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.tunnel)?;
        self.child.iter().try_for_each(|child| write!(f, "/{child}"))
    }
}

#[cfg(test)]
mod tests {
    use super::Target;

    #[test]
    fn a_child_stands_behind_a_slash() {
        for (text, child) in [("centre", None), ("centre/records", Some("records")), ("centre/", Some(""))] {
            let target: Target = text.parse().unwrap_or_else(|never| match never {});
            assert_eq!((target.tunnel.as_str(), target.child.as_deref()), ("centre", child));
            assert_eq!(target.to_string(), text);
        }
    }
}
