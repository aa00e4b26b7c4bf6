//! Tools at work: which execution belongs to which tool call of which answer.
//!
//! By the tool call's id where both sides have one; else the last answer before it that asked for a
//! tool of that name. Two spans of one execution (a framework's around an SDK's) are one. What no
//! answer asked for stays a row by itself.

use hashbrown::HashMap;

use super::Folder;
use crate::{
    call::{Finish, PartKind, ToolRun},
    normalise::recognise::SpanRole,
};

/// Calls before an execution that are looked at.
const CALLS_MAX: usize = 256;
/// Executions of one tool that are kept in mind.
const RUNS_MAX: usize = 64;
/// Bytes of blanks by which the same arguments may differ.
const ARGUMENTS_SLACK: usize = 256;

/// What was executed with success, and when it was over.
#[derive(Default)]
struct Done<'a> {
    runs: HashMap<&'a str, Vec<(u64, &'a str)>>,
}

impl<'a> Done<'a> {
    fn add(&mut self, run: &ToolRun<'a>, end_ns: u64) {
        let runs = self.runs.entry(run.name).or_default();
        if runs.len() < RUNS_MAX {
            runs.push((end_ns, run.arguments));
        }
    }

    /// Had the same been done before this execution began?
    fn has(&self, run: &ToolRun<'a>) -> bool {
        let runs = self.runs.get(run.name).map_or(&[][..], Vec::as_slice);
        let mut earlier = runs.iter().filter(|(end_ns, _)| *end_ns <= run.start_ns);
        earlier.any(|(_, arguments)| same_arguments(arguments, run.arguments))
    }

    /// The first success of each tool, in the order of time.
    fn first_of_each_name(&self) -> Vec<(u64, &'a str)> {
        let first = |(name, runs): (&&'a str, &Vec<(u64, &'a str)>)| {
            Some((runs.iter().map(|(end_ns, _)| *end_ns).min()?, *name))
        };
        let mut names: Vec<_> = self.runs.iter().filter_map(first).collect();
        names.sort_unstable();
        names
    }
}

/// The same JSON, in whatever order and with whatever blanks.
fn same_arguments(a: &str, b: &str) -> bool {
    let value = |text| serde_json::from_str::<serde_json::Value>(text).ok();
    a == b
        || (a.len().abs_diff(b.len()) <= ARGUMENTS_SLACK
            && value(a).is_some_and(|a| value(b) == Some(a)))
}

impl<'a> Folder<'a> {
    /// Gives the executions to the calls that asked for them.
    pub(super) fn tools(&mut self) {
        let spans = self.with_role(SpanRole::Tool);
        if spans.is_empty() {
            return;
        }
        let calls = self.counted();
        let mut runs: HashMap<usize, Vec<ToolRun<'a>>> = HashMap::new();
        let mut done = Done::default();
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
                run.repeats = done.has(&run);
            }
            if !run.is_error {
                done.add(&run, end_ns);
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
        self.tell_done(&done);
    }

    /// Tells calls that went wrong what had been done before them.
    fn tell_done(&mut self, done: &Done<'a>) {
        let first = done.first_of_each_name();
        let names = first.iter().map(|(_, name)| *name);
        let names: &'a [&'a str] = self.arena.alloc_slice_fill_iter(names.collect::<Vec<_>>());
        for observation in &mut self.observations {
            let call = &mut observation.call;
            let ordinary = matches!(call.finish, Finish::Stop | Finish::ToolCalls);
            if observation.role != SpanRole::Call || (ordinary && !call.errors.is_error) {
                continue;
            }
            let before = first.partition_point(|(end_ns, _)| *end_ns <= call.start_ns);
            call.tools_done = names.get(..before).unwrap_or_default();
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
