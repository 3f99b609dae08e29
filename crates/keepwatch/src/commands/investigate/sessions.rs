//! Sessions: requests with less than half an hour between them.

use std::collections::BTreeMap;

use event::Timestamp;

/// A longer pause ends a session. Microseconds.
const PAUSE: i64 = 30 * 60 * 1_000_000;
/// Maximum number of sessions; later ones are merged into the last.
const SESSIONS_MAX: usize = 1000;

/// Sessions by their first microsecond; events may come in any order.
#[derive(Default)]
pub(crate) struct Sessions(BTreeMap<i64, Session>);

/// A session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Session {
    pub(crate) first: Timestamp,
    pub(crate) last: Timestamp,
    pub(crate) count: u64,
}

impl Sessions {
    pub(crate) fn add(&mut self, time: Timestamp) {
        let at = time.as_micros();
        let mut session = Session { first: time, last: time, count: 1 };
        let is_full = self.0.len() >= SESSIONS_MAX;
        let before = self.0.range(..=at).next_back().map(|(start, session)| (*start, *session));
        if let Some((start, before)) = before
            && (is_full || at - before.last.as_micros() <= PAUSE)
        {
            self.0.remove(&start);
            session = merged(session, before);
        }
        let after = self.0.range(at..).next().map(|(start, session)| (*start, *session));
        if let Some((start, after)) = after
            && (is_full || start - session.last.as_micros() <= PAUSE)
        {
            self.0.remove(&start);
            session = merged(session, after);
        }
        self.0.insert(session.first.as_micros(), session);
    }

    /// All sessions, earliest first.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Session> {
        self.0.values()
    }
}

fn merged(left: Session, right: Session) -> Session {
    Session {
        first: left.first.min(right.first),
        last: left.last.max(right.last),
        count: left.count + right.count,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(minutes: &[i64], expected: &[(i64, i64, u64)]) {
        let mut sessions = Sessions::default();
        for minute in minutes {
            sessions.add(Timestamp::from_micros(minute * 60_000_000));
        }
        let minute = |time: Timestamp| time.as_micros() / 60_000_000;
        let output: Vec<_> = sessions
            .all()
            .map(|session| (minute(session.first), minute(session.last), session.count))
            .collect();
        assert_eq!(output, expected);
    }

    #[test]
    fn a_pause_ends_a_session_whatever_the_order_of_events() {
        check(&[0, 10, 100], &[(0, 10, 2), (100, 100, 1)]);
        check(&[100, 10, 0], &[(0, 10, 2), (100, 100, 1)]);
        check(&[0, 60, 30], &[(0, 60, 3)]);
        check(&[5, 5, 5], &[(5, 5, 3)]);
    }
}
