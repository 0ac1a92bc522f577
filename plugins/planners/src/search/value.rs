//! Estimates: how good proposals, or the states to which they lead, are said to be, within [0, 1].

use forethought_sdk::{
    answers::{Complaint, Unread},
    futures::future::join_all,
    prelude::*,
    serde_json::json,
};

use super::{Estimate, Place, Search, grow::Growth};
use crate::{
    ask::{Label::One, Said},
    score::Scored,
};

/// Where there is no estimate.
const UNKNOWN: f64 = 0.5;

impl Search<'_> {
    /// Gives every child an estimate: a critic's, or the model's own.
    pub(super) async fn estimate(
        &self,
        place: &Place,
        proposals: &[&Decision],
        growth: &mut Growth,
    ) -> Result<()> {
        if let Some(critic) = &self.with.critic {
            let Scored { rounds, scores, summary, unread } =
                critic.score(&place.context, proposals, self.models).await?;
            growth.unread.append(unread);
            for (child, score) in growth.children.iter_mut().zip(scores) {
                if score.is_none() {
                    growth.unread.without(format!("the critic gave no value of {:?}", child.thought));
                }
                child.value = score.map_or(UNKNOWN, |score| critic.share(score));
            }
            (growth.rounds, growth.summary) = (rounds, summary);
            return Ok(());
        }
        match self.with.estimate {
            Estimate::Ranks => self.rank(place, proposals, growth).await,
            Estimate::States => self.judge_all(place, growth).await,
        }
    }

    /// Takes every action, and judges the states to which they lead. An ended copy is judged by its reward alone, unless
    /// rewards do not decide.
    async fn judge_all(&self, place: &Place, growth: &mut Growth) -> Result<()> {
        let entered = growth.children.iter().enumerate().map(|(index, child)| async move {
            let name = format!("{} child {index}", place.name);
            self.enter(place, &child.thought, &child.action, &name).await
        });
        let entered = join_all(entered).await;
        for (child, entered) in growth.children.iter_mut().zip(entered) {
            let (state, unread) = entered?;
            growth.unread.append(unread);
            child.state = Some(Arc::new(state));
        }
        let judged = growth.children.iter().enumerate().map(|(index, child)| async move {
            let place = place.after(child, format!("{} child {index}", place.name));
            match place {
                Some(place) if !(place.state.ended && self.with.rewards == 1.0) => self.judge(&place).await,
                _ => Ok((child.state.as_ref().map_or(UNKNOWN, |state| state.reward), Unread::default())),
            }
        });
        let judged = join_all(judged).await;
        for (child, judged) in growth.children.iter_mut().zip(judged) {
            let (value, unread) = judged?;
            growth.unread.append(unread);
            child.value = value;
        }
        Ok(())
    }

    /// How good the model says a state is, from 1 to 10, as a share.
    async fn judge(&self, place: &Place) -> Result<(f64, Unread)> {
        let mut asker = self.asker(&format!("{} value", place.name));
        let messages = self.with.prompts.messages("value", &place.context, json!({ "plan": [] }))?;
        let read = |said: &Said<'_>| grade(&said.text("Grade")?);
        let grade = asker.ask_for(&[One("Grade")], Purpose::Judge, messages, read).await?;
        Ok((grade.unwrap_or(UNKNOWN), asker.unread))
    }

    /// Has the model rank the proposals: the first is worth 1, the last 0.
    async fn rank(&self, place: &Place, proposals: &[&Decision], growth: &mut Growth) -> Result<()> {
        let count = proposals.len();
        if count < 2 {
            growth.children.iter_mut().for_each(|child| child.value = 1.0);
            return Ok(());
        }
        let mut asker = self.asker(&format!("{} rank", place.name));
        let shown =
            |decision: &&Decision| json!({ "thought": decision.thought, "action": decision.action.text });
        let shown: Vec<_> = proposals.iter().map(shown).collect();
        let messages = self.with.prompts.messages("rank", &place.context, json!({ "proposals": shown }))?;
        let read = |said: &Said<'_>| ranking(&said.text("Ranking")?, count);
        let ranking = asker.ask_for(&[One("Ranking")], Purpose::Judge, messages, read).await?;
        growth.unread.append(asker.unread);
        for (index, child) in growth.children.iter_mut().enumerate() {
            let rank = ranking.as_ref().ok().and_then(|ranking| ranking.iter().position(|one| *one == index));
            child.value = rank.map_or(UNKNOWN, |rank| 1.0 - rank as f64 / (count - 1) as f64);
        }
        Ok(())
    }
}

/// A grade from 1 to 10, as a share of 10: the first number.
///
/// # Errors
/// If there is no number in that range.
pub(crate) fn grade(said: &str) -> Result<f64, Complaint> {
    let number = said.split(|c: char| !c.is_ascii_digit() && c != '.').find(|word| !word.is_empty());
    let number: Option<f64> = number.and_then(|word| word.trim_end_matches('.').parse().ok());
    let grade = number.filter(|grade| (1.0..=10.0).contains(grade)).map(|grade| grade / 10.0);
    grade.ok_or_else(|| Complaint::unreadable("the grade is not a number from 1 to 10"))
}

/// The indices of `count` proposals, the best first. Those that are not named come last, in their own order.
fn ranking(said: &str, count: usize) -> Result<Vec<usize>, Complaint> {
    let numbers = said.split(|c: char| !c.is_ascii_digit()).filter_map(|digits| digits.parse::<usize>().ok());
    let mut ranking: Vec<usize> = Vec::new();
    for number in numbers.filter(|number| (1..=count).contains(number)) {
        if !ranking.contains(&(number - 1)) {
            ranking.push(number - 1);
        }
    }
    if ranking.is_empty() {
        return Err(Complaint::unreadable(format!("the ranking names no numbers from 1 to {count}")));
    }
    ranking.extend((0..count).filter(|index| !ranking.contains(index)).collect::<Vec<_>>());
    Ok(ranking)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grades_and_rankings_are_read_as_models_write_them() {
        for (said, read) in
            [("7", 0.7), ("8/10", 0.8), ("7.5, rather good", 0.75), ("10.", 1.0), ("about 3", 0.3)]
        {
            assert_eq!(grade(said), Ok(read), "{said}");
        }
        assert!(["0", "eleven", "11", ""].into_iter().all(|said| grade(said).is_err()));
        for (said, read) in
            [("2, 1, 3", [1, 0, 2]), ("2 > 3 > 1", [1, 2, 0]), ("3", [2, 0, 1]), ("2, 2, 9", [1, 0, 2])]
        {
            assert_eq!(ranking(said, 3), Ok(read.to_vec()), "{said}");
        }
        assert!(ranking("the second", 3).is_err());
    }
}
