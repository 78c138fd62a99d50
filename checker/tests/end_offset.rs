//! What clients are told of a log's end.

mod play;

use play::{Play, kinds, orders, three_brokers, told};
use trial_checker::{Class, Observation};

/// b1 has told 2, with both records committed; then b2 leads.
#[test]
fn the_end_that_leaders_tell_never_goes_back() {
    let end = |play: &mut Play, broker: i32, offset: i64| {
        play.see(Observation::EndOffsetTold { broker, partition: orders(), offset });
    };
    let story = |leads: bool, offset: i64| {
        let mut play = three_brokers(-1);
        play.write(0);
        end(&mut play, 1, 1);
        play.write(1);
        end(&mut play, 1, 2);
        if leads {
            play.elect(2, &[2, 3]);
        } else {
            play.elect_only(2, &[2, 3], true);
        }
        end(&mut play, 2, offset);
        play.verdict()
    };
    assert_eq!(kinds(&story(true, 2)), []);
    assert_eq!(kinds(&story(true, 1)), [(Class::Bug, "non-monotonic-view", None)]);
    insta::assert_snapshot!(told(&story(true, 1)));
    assert_eq!(kinds(&story(false, 1)), []); // b2 does not lead yet: it may be any replica

    // b1, which was deposed, tells what it knew.
    let mut play = three_brokers(-1);
    play.write(0).write(1);
    end(&mut play, 1, 2);
    play.elect(2, &[2, 3]).send(2).fetch(3).commit();
    end(&mut play, 2, 3);
    end(&mut play, 1, 2);
    assert_eq!(kinds(&play.verdict()), []);

    // A leader without what was committed is the finding, and from there on the view is another.
    let mut play = three_brokers(-1);
    play.write(0).write(1);
    end(&mut play, 1, 2);
    play.truncate(2, 1).elect(2, &[2]).commit();
    end(&mut play, 2, 1);
    let verdict = play.verdict();
    assert!(kinds(&verdict).iter().any(|(_, code, _)| *code == "unsafe-election"), "{:?}", kinds(&verdict));
    assert!(kinds(&verdict).iter().all(|(_, code, _)| *code != "non-monotonic-view"), "{:?}", kinds(&verdict));
}
