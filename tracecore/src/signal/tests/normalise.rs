//! The canonical form, beside what [`compare`](super::compare) shows of it: that decoding it gives the same.

use super::*;

/// A field that no message has, with eight bytes that tell it from all others.
fn mark(random: &mut Generator) -> (Field, Vec<u8>) {
    let mark = random.bits().to_le_bytes().to_vec();
    (Field { number: 77, value: Value::Raw(1, mark.clone()) }, mark)
}

#[test]
fn no_unknown_field_is_lost_when_keys_are_put_before_their_values() {
    proptest!(config(), |(seed: u64)| {
        for signal in Signal::ALL {
            let mut random = Generator::new(seed);
            let mut tree = Node::read(signal.as_str(), &encode(&random.request(signal)));
            let mut marks = Vec::new();
            tree.visit(&mut |node| {
                if node.name == "key_value" {
                    node.fields.reverse();
                }
                let (field, mark) = mark(&mut random);
                let at = random.below(node.fields.len() + 1);
                node.fields.insert(at, field);
                marks.push(mark);
            });
            let batch = valid(signal, tree.write());
            let normalised = batch.normalised();
            prop_assert!(normalised.is_canonical() && normalised.has_unknown_fields());
            prop_assert_eq!(normalised.size(), batch.size(), "nothing is left out, and nothing comes twice");
            let bytes = normalised.parts().concat();
            for mark in &marks {
                prop_assert!(bytes.windows(8).any(|bytes| bytes == mark), "an unknown field is lost");
            }
        }
    });
}

#[test]
fn messages_that_occur_twice_are_merged_with_their_unknown_fields() {
    let mut random = Generator::new(7);
    let [(first, one), (second, two)] = [(); 2].map(|()| mark(&mut random));
    let resource = |field: Field| Node { name: "resource", fields: vec![field] };
    let field = |number, node| Field { number, value: Value::Message(node) };
    let fields = vec![field(1, resource(first)), field(1, resource(second))];
    let request = Node { name: "traces", fields: vec![field(1, Node { name: "resource_spans", fields })] };
    let batch = valid(Signal::Traces, request.write());
    assert!(!batch.is_canonical());
    let bytes = batch.normalised().parts().concat();
    for mark in [one, two] {
        assert!(bytes.windows(8).any(|bytes| bytes == mark), "{bytes:02x?}");
    }
}
