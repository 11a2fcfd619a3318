//! An item that is nothing but attributes, as small and as many as there can be: memory is bounded by its bytes.

use std::hint::black_box;

use allocation_counter::measure;
use tracecore::signal::edit::{Act, AttributesMut, Edit, ItemMut, PlainValue, Touches, When};
use tracecore::signal::{Batch, Signal};

/// Attributes of the item.
const ATTRIBUTES: usize = 1_000_000;

/// Does something to the attributes of each item.
struct Do(fn(&mut AttributesMut<'_>));

impl Edit for Do {
    fn touches(&self) -> Touches {
        Touches { items: true, ..Touches::NOTHING }
    }

    fn item(&mut self, item: &mut ItemMut<'_>) -> Act {
        (self.0)(&mut item.attributes);
        Act::Keep
    }
}

/// One span, whose attributes by turns have no key and the key `y`, and no value.
fn span() -> Batch {
    let attributes = [0x4A, 0, 0x4A, 3, 0x0A, 1, b'y'].repeat(ATTRIBUTES / 2);
    let request = [2, 2, 1].iter().fold(attributes, |body, number: &u8| {
        let mut field = vec![number << 3 | 2];
        prost::encode_length_delimiter(body.len(), &mut field).expect("a vector grows");
        [field, body].concat()
    });
    Batch::validate(Signal::Traces, request.into()).expect("it is valid")
}

#[test]
fn the_memory_of_an_edit_is_a_small_multiple_of_the_item() {
    let batch = span();
    // What is written, and the most bytes beside the batch, in its sizes: one that is cut to its length counts twice.
    let looks: fn(&mut AttributesMut<'_>) = |attributes| {
        attributes.set("k", PlainValue::Int(1), When::Absent);
        attributes.rename("k", "l");
        attributes.delete("m");
        assert!(attributes.contains("y"));
    };
    let changes: fn(&mut AttributesMut<'_>) = |attributes| {
        for value in 0..8 {
            attributes.set("", PlainValue::Int(value), When::Always);
        }
        attributes.delete("y");
    };
    for (what, edit, most) in [("one is added", looks, 3), ("each second one changes", changes, 24)] {
        let info = measure(|| drop(black_box(batch.edit(&mut Do(edit)))));
        let most = most * batch.size() as u64;
        assert!(info.bytes_max <= most, "{what}: {} bytes, at most {most}", info.bytes_max);
    }
}
