//! The way of a batch through the processors of a pipeline. Those that only edit and follow one another go over its bytes
//! together, in one pass; each is told what became of its items as if it had been alone.

use std::sync::Arc;

use super::Processed;
use super::failure::contain_call;
use super::stage::{Editor, Stage};
use crate::emit::Passage;
use crate::signal::Batch;
use crate::signal::edit::{Edit, Tally};
use crate::time::Instant;

/// What the processors make of a batch, one after the other.
pub(crate) fn process(processors: &[Arc<dyn Stage>], batch: Batch, passage: Passage) -> Processed {
    let mut batch = batch;
    let mut stages = processors;
    while let Some((first, others)) = stages.split_first() {
        let run = stages.iter().take_while(|stage| stage.edits()).count();
        let editors: Option<Vec<_>> =
            if run > 1 { stages[..run].iter().map(|stage| stage.editor()).collect() } else { None };
        // Where one has no instance now, those before it still have their turn.
        let (processed, behind) = match editors {
            Some(editors) => (edit(&stages[..run], &editors, &batch, passage), &stages[run..]),
            None => (first.process(batch, passage), others),
        };
        match processed {
            Processed::Pass(passed) if !passed.is_empty() => batch = passed,
            Processed::Pass(_) => return Processed::Dropped,
            other => return other,
        }
        stages = behind;
    }
    Processed::Pass(batch)
}

/// What several processors that edit make of a batch, in one pass.
fn edit(stages: &[Arc<dyn Stage>], editors: &[Arc<dyn Editor>], batch: &Batch, passage: Passage) -> Processed {
    let began = Instant::now();
    let mut tally = Tally::default();
    let edited = contain_call(|| {
        let mut edits = Vec::with_capacity(editors.len());
        for (at, editor) in editors.iter().enumerate() {
            tally.at = at;
            edits.push(editor.edit(batch.signal(), batch.metadata()));
        }
        let mut edits: Vec<&mut dyn Edit> = edits.iter_mut().map(|edit| &mut **edit as &mut dyn Edit).collect();
        batch.edit_in_turn(&mut edits, &mut tally)
    });
    let share = began.elapsed() / u32::try_from(stages.len()).unwrap_or(u32::MAX);
    let Tally { dropped, at } = tally;
    let mut items = batch.items();
    let mut dropped = dropped.into_iter();
    for (i, (stage, editor)) in stages.iter().zip(editors).enumerate() {
        match &edited {
            Err(panic) if i == at => return stage.panicked(&**editor, items, share, panic, passage),
            // What nothing is left of would not have been shown to this one.
            Ok(_) if items == 0 => break,
            _ => {}
        }
        let filtered = dropped.next().unwrap_or_default();
        stage.edited(items, filtered, share);
        items = items.saturating_sub(filtered);
    }
    edited.map_or(Processed::Dropped, Processed::Pass)
}
