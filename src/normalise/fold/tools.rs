//! Tools at work: which execution belongs to which tool call of which answer.
//!
//! By the tool call's id where both sides have one; else the last answer before it that asked for a
//! tool of that name. Two spans of one execution (a framework's around an SDK's) are one. What no
//! answer asked for stays a row by itself.

use hashbrown::HashMap;

use super::Folder;
use crate::{
    call::{PartKind, ToolRun},
    normalise::recognise::SpanRole,
};

/// Calls before an execution that are looked at.
const CALLS_MAX: usize = 256;

impl<'a> Folder<'a> {
    /// Gives the executions to the calls that asked for them.
    pub(super) fn tools(&mut self) {
        let spans = self.with_role(SpanRole::Tool);
        if spans.is_empty() {
            return;
        }
        let calls = self.counted();
        let mut runs: HashMap<usize, Vec<ToolRun<'a>>> = HashMap::new();
        // What was done with success, by tool and arguments.
        let mut done: HashMap<(&'a str, &'a str), u64> = HashMap::new();
        for at in spans {
            let Some(mut run) = self.call(at).tool_runs.first().copied() else {
                continue;
            };
            let around = self.tree.nearest(at, |i| {
                let outer = self.call(i).tool_runs.first();
                self.role(i) == SpanRole::Tool && outer.is_some_and(|o| o.name == run.name)
            });
            if around.is_some() {
                self.observations[at].role = SpanRole::Agent;
                continue;
            }
            let target = self.asked_by(&run, &calls, &runs);
            if run.arguments.is_empty()
                && let Some((_, _, arguments)) = target
            {
                run.arguments = arguments;
            }
            let end_ns = run.start_ns.saturating_add(run.duration_ns);
            if !run.arguments.is_empty() {
                let before = done.get(&(run.name, run.arguments));
                run.repeats = before.is_some_and(|end_ns| *end_ns <= run.start_ns);
                if !run.is_error {
                    done.insert((run.name, run.arguments), end_ns);
                }
            }
            match target {
                Some((call, index, _)) => {
                    run.index = index;
                    runs.entry(call).or_default().push(run);
                    self.observations[at].role = SpanRole::Agent;
                }
                None => {
                    let run = self.arena.alloc_slice_copy(&[run]);
                    self.observations[at].call.tool_runs = run;
                }
            }
        }
        for (call, runs) in runs {
            let runs = self.arena.alloc_slice_copy(&runs);
            self.observations[call].call.tool_runs = runs;
        }
    }

    /// The call that asked for an execution, which of its tool calls it is, and the arguments.
    fn asked_by(
        &self,
        run: &ToolRun<'a>,
        calls: &[usize],
        runs: &HashMap<usize, Vec<ToolRun<'a>>>,
    ) -> Option<(usize, u16, &'a str)> {
        let asked = |call: usize| {
            let messages = self.call(call).output.messages.iter();
            let parts = messages.flat_map(|m| m.parts);
            let parts = parts.filter(|p| p.kind == PartKind::ToolCall);
            (0u16..).zip(parts)
        };
        let before = || {
            let calls = calls.iter().rev().copied();
            calls
                .filter(|c| self.call(*c).start_ns <= run.start_ns)
                .take(CALLS_MAX)
        };
        if !run.id.is_empty() {
            let by_id = before().find_map(|call| {
                let (index, part) = asked(call).find(|(_, part)| part.id == run.id)?;
                Some((call, index, part.text))
            });
            if by_id.is_some() {
                return by_id;
            }
        }
        before().find_map(|call| {
            let taken = runs.get(&call);
            let is_free = |index: u16| {
                taken.is_none_or(|runs| runs.iter().all(|r| r.index != index || r.is_error))
            };
            let (index, part) = asked(call).find(|(index, part)| {
                let other_id = !run.id.is_empty() && !part.id.is_empty();
                part.name == run.name && !other_id && is_free(*index)
            })?;
            Some((call, index, part.text))
        })
    }
}
