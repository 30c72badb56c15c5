"""The words that hints are made of: phrases by tag, separated by commas.

A tag may carry a value after a colon (``FEATURE:spot``). ``~`` after a verb stands for its regular
forms (``avoid~``: avoid, avoids, avoided, avoiding), ``{this|that}`` for either. The longest phrase
wins. To teach the parser a
synonym, add it here; hyphens count as spaces.
"""

from __future__ import annotations

PHRASES: dict[str, str] = {
    # --- how much it counts (complete list: docs/hint-labels.md) ---
    "LOW": """
        {would|could|will} {|really |certainly |also |still }be {|a |the |very |really |even
        |quite |so |an
        }{nice|nicer|good|great|fine|best|better|ideal|perfect|lovely|wonderful|fantastic
        |amazing|awesome|brilliant|excellent|neat|cool|sweet|handy|helpful|useful|welcome
        |preferable|appreciated|bonus}
        if,
        {low|lower|lowest} prio,
        if possible, where possible, when possible, whenever possible, wherever possible, if at
        all possible, if it is possible, if that is possible, ideally, ideal, maybe, perhaps,
        possibly, might, might be nice, might be good, try~, try to, attempt~, best effort, best
        effort only, do your best, nice to have, optional, optionally, bonus, as a bonus,
        slight, slightly, a bit, a little, a little bit, somewhat, mild, mildly, weak, weakly,
        if you can, if we can, if it can, if you could, when you can, if convenient, when
        convenient, where convenient, if feasible, where feasible, when feasible, if practical,
        where practical, when practical, if practicable, if available, when available, where
        available, if there is one, if there are any, if any, if any are free, if any is free,
        if it fits, would not mind, do not mind,
        low priority, lower priority, lowest priority, minor, less important, least important,
        less importantly, secondarily, secondary, all else being equal, all else equal, all
        things being equal, other things being equal, tie breaker, tiebreaker, as a tie breaker,
        as a tiebreaker, as tie breaker, to break ties, not critical, not important, not that
        important, not so important, not very important, not essential, not required, not
        strictly required, not strictly necessary, not absolutely necessary, not necessary, not
        mandatory, not a must, not a requirement, not a hard requirement, not a big deal, not
        crucial, not vital, no strong preference, no hard requirement, no requirement, not
        urgent, would help, is a plus, a plus, light, lightly, gentle, gently, soft, softly,
        soft preference,
        {would|could|will} {|really |certainly |also |still }be {|a |the |very |really |even |quite
        |so |an }{nice|nicer|good|great|fine|best|better|ideal|perfect|lovely
        |wonderful|fantastic|amazing|awesome|brilliant|terrific|excellent|superb|splendid|neat|cool
        |sweet|super|handy|helpful|useful|welcome|pleasant|desirable|preferable|preferred
        |appreciated|beneficial|plus|bonus|nice bonus|nice touch|dream|treat}, {would|could|will}
        be {|really |so |very }{nice|nicer|good|great|fine|best|better|ideal|perfect|lovely
        |wonderful|fantastic|amazing|awesome|brilliant|terrific|excellent|superb|splendid|neat|cool
        |sweet|super|handy|helpful|useful|welcome|pleasant|desirable|preferable|preferred
        |appreciated|beneficial|plus|bonus|nice bonus|nice touch|dream|treat} if
        {it|we|they|this|you|i}, {would|could} {|really |very much }help,
        {if|when|where|while|provided|as long as|so long as|assuming|in case} there {|is |are
        }{|some
        |any |enough |still }{room|space|capacity|room left|space left|capacity left},
        {if|when|where|provided|as long as|assuming} {room|space|capacity} {allows|permits|is there
        |is available},
        if you get the chance, if it is convenient, if it is available,
        if it is feasible, if they are available, weak preference, slight preference, mild
        preference, small preference, marginally
    """,
    "HIGH": """
        whatever {it|that} {costs|takes}, no matter {the cost|the price|what it costs},
        {high|higher|highest|top} prio,
        high priority, it has to, this has to, it has to be, this has to be, they have to, we
        have to, it needs, this needs, it needs to, this needs to, must, must be, must have,
        need~, required, require~, have to, has to, had to, got to, only, always, strict,
        strictly, strong, strongly, definite, definitely, absolute, absolutely, really, very
        important, very much, very strongly, very strong preference, very keen, extreme,
        extremely, highly, critical, critically, crucial, crucially, essential, essentially,
        vital, vitally, imperative, mandatory, important, importantly, most important, most
        importantly, paramount, above all, above all else, at all costs, at all cost, at any
        cost, at any price, no matter what, insist~, top priority, highest priority, number one
        priority, non negotiable, nonnegotiable, not negotiable, not optional, hard requirement,
        it is a must, are a must, is a must, a must, desperately, by all means, exclusively,
        without fail, in any case, under all circumstances, non optional, of utmost importance,
        utmost importance, compulsory, obligatory
    """,
    "NEVER": """
        must {not|never} be {used|chosen|picked|considered|selected|touched},
        never, never ever, under no circumstances, on no account, in no case, by no means, must
        not, must never, must avoid, not under any circumstances, on no condition, at no time,
        absolutely no, absolutely not, strictly no, strictly not, definitely not, must not be,
        must not ever, need to avoid, needs to avoid, have to avoid, has to avoid
    """,
    # --- polarity ---
    "NOT": """
        not, no, nor, neither, without, cannot, can not, non, none of, none, nothing, nobody,
        lack~, free of, free from, nowhere, zero, not any
    """,
    "AVOID": """
        everywhere but, {everywhere|anywhere|everything|all} {except|but} {in|on|for}, {can
        not|not} afford,
        {not|never} {be |to be |ever be }{used|chosen|picked|considered|selected|touched|used at
        all}, would be {terrible|bad|awful|a disaster|a
        problem|problematic|horrible|dreadful|fatal|disastrous|unacceptable|a bad idea},
        {is|are} {bad|useless|terrible|awful|unwelcome|problematic|a problem|a bad idea|no use|too
        small|too old|too slow|too weak|too big|too expensive|overkill|inadequate} {|for us|for me
        |for this|for it|here},
        will not do, will not work, not allowed, is out, are out, not permitted, not acceptable,
        not good enough, not suitable, is a no, are a no, not ok, not okay, not an option, no
        option, out of the question, outside of, outside, avoid~, steer clear of, steer clear
        from, exclude~, skip~, refrain~ from, shun~, reject~, ban~, hate~, dislike~, keep off,
        keep out of, keep it out of, keep it off, keep us off, keep us out of, keep this off,
        keep me off, keep them off, keep me out of, keep this out of, stay off, stay out of,
        stay off of, keep out, leave out, leave alone, prevent~, forbid, forbidden, disallow~,
        no go, anything but, anywhere but, everything but, all but, any but, except, except for,
        excepting, other than, detest~, averse to, minus, bypass~, bar, bars, off limits,
        disabled, {turned|switched} off, unwanted, undesirable, undesired, unsuitable,
        unacceptable, blacklist~, no good, evade~,
        sidestep~, dodge~, give a miss, rule out, rules out, ruling out, save for, bar from,
        with the exception of, keep clear, apart from the, aside from, not wanted, not welcome,
        discourage~, keep well off, out of, stay out
    """,
    "PREFER": """
        even better, better still,
        nothing {but|except|other than}, {avoid|exclude|reject|skip} {everything|anything|all}
        {except|except for|but|other than},
        pref, prefs, prefer~, preference for, preference, preferably, preferable, preference is,
        favor~, favour~, like, likes, love, loves, want~, would like, would love, wish~, choose,
        chooses, pick~, select~, choosing, use, uses, using, go for, opt for, rather have, would
        rather have, would rather, rather, much rather, opt~, look~ for, aim~ for, target~,
        would prefer, consider~, hope~ for, hope, welcome, best, desired, desire~, works best,
        better, happy with, happy to use, happy on, fond of, keen on, keen to, keen, stick to,
        ask~ for, bias~, lean~, gravitate~, incline~, enjoy~, appreciate~, expect~, seek~,
        request~, give me, give us, give it, get me, find me, find, finds, accept~, acceptable,
        suitable, suits, fits best, runs best on, runs best, should
    """,
    "PLACE": """
        run~, place~, put, puts, putting, schedule~, land~, stay~, sit~, sat, live~, keep,
        keeps, keeping, kept, deploy~, go, goes, going, assign~, bind, locate~, start~,
        allocate~, launch~, host it, host this, host us, host me, end up, ends up, ending up,
        reside~, remain~, position~, move~, send~, sent, be, being, squeeze~, drop, drops, spin
        up, stick, sticks, leave, leaves, make, makes, making, ensure~, let, lets, have, has,
        having, get, gets, belong~, hosted, hosting, co exist, coexist~, work~, situate~,
        bring~, brought, execute~, pin~, attract~, steer~, placement, head for, route~, fit,
        fits, set, operate~, exist~
    """,
    # --- verbs with a meaning of their own ---
    "SPREAD": """
        {fan|spread|scatter|split|stretch} {them|us|it|the replicas|replicas|the pods|our
        replicas|our pods|pods} out,
        cross~, span~, straddle~, diversity, diverse over, spread~, spread out, scatter~,
        distribute~, disperse~, fan out, fanned out, fan~ out, diversify, diversified,
        diversify~, evenly distributed, evenly spread, stripe~, spreading out, split~, divide~,
        highly available, high availability, ha, fault tolerant, fault tolerance, fault
        isolated, resilient, redundant, redundancy, evenly, even spread, uniformly, equally,
        stagger~, shard~, topology spread
    """,
    "ONEPER": """
        {at most|max|maximum|no more than|not more than|a maximum of|never more than}
        {one|1|a single} {replica|pod|copy|instance|member|worker|of us|of them}
        {per|on a|on each|on every|on any|on the same|on one|in a|in each|in every|in any|in one
        |in the same},
        one per, one replica per, one pod per, 1 per, one copy per, one instance per, single
        replica per, one each per, max one per, at most one per, no more than one per, at most
        one replica per, no more than one replica per, one member per, at most 1 per, no more
        than 1 per, 1 replica per, 1 pod per, a single replica per, a single pod per, at most
        one pod per, no more than one pod per, one worker per, max 1 per, one of us per, a
        maximum of one per, maximum one per, not more than one per, not more than one replica
        per, not more than one pod per, no more than one copy per, at most one copy per, exactly
        one per, exactly one replica per
    """,
    "ACROSS": "across, among, amongst, over, throughout, over all, across all, by, over the",
    "PER": "per, each, every",
    "SURVIVE": """
        protect us against, protect us from, protect it against, guard us against, guard us
        from, survive if, survive when, keep running if, keep running when, stay up if, stay up
        when, keep working if, still work if, stay available if, stay available when, remain
        available if, remain available when, keep serving if, safe when, safe if, survive~,
        tolerate~, withstand~, outlive~, cope with, resilient to, resilient against, robust
        against, robust to, immune to, ride out, protect~ against, guard~ against, handle~,
        endure~, live through, recover from, safe against, safe from, not lose everything, not
        lose all, not lose us all, not take us all down, not take all, not take down all, not
        kill all, not take us down, not bring us down, not bring down all, not take out all, not
        knock out all
    """,
    "LOSS": """
        dead, failed, burns down, goes dark,
        loss, loss of, losing, lose, failure, failures, failure of, outage, outages, outage of,
        crash, crash of, going down, goes down, fails, fail, dies, down, downtime, dying,
        breakdown
    """,
    "COLOC": """
        concentrate~, lump~, bunch~ up, bunch~, gather~, huddle~, assemble~, cluster up, stack~,
        pile~ up, pile~, stacking up, co locate~, colocate~, collocate~, co schedule~,
        coschedule~, colocation, co location, co place~, affinity, pair~, pair up, pod affinity,
        co locate together, co reside~, cohabit~, bundle~
    """,
    "WITHREL": """
        next door to, {under |}the same roof as, follow, follows, {co tenancy|cotenancy} with,
        stick with, together with, along with, alongside, along side, alongside of, next to,
        right next to, beside, besides, adjacent to, side by side with, in company of, in the
        company of, affinity to, affinity for, affinity with, affinity towards, pod affinity to,
        co located with, colocated with, co locate with, colocate with, collocated with,
        collocate with, co locating with, colocating with, co location with, colocation with, co
        schedule with, co scheduled with, coscheduled with, paired with, pair with, sharing
        with, in the same place as, where also, attached to, accompany, accompanies,
        accompanying, join, joins, joining, united with, share with, bundled with, bundle with,
        on top of, same place as, hand in hand with, cohabit with, grouped with, group with, sit
        with, live with, run with, stay with, placed with, place with, placed together with, run
        together with, adjacent with, keep with, kept with, {|tightly |densely |closely }packed
        {|tightly |closely }with, on the nodes of, on the
        node of, on the host of, on the same box as, neighbouring, neighboring, neighbour of,
        neighbor of, neighbors of, a neighbour of, a neighbor of, in tandem with, wherever
    """,
    "WITH": """
        with, that have, which have, that has, which has, featuring, equipped with, offering,
        that offer, that offers, containing, including, that come with, carrying, providing,
        that provide, that provides, fitted with, w, has got, boasting, sporting, backed by
    """,
    "RUNS": """
        whatever node hosts, whatever node runs, whichever node hosts, whichever node runs,
        whatever host runs, that run, that runs, which run, which runs, that host, that hosts,
        which host, which hosts, that already run, already running, that are running, that is
        running, which are running, that hold, that holds, where, occupied by, used by, shared
        by, serving, that serve, that contain, that contains, home to, that already host,
        already hosting, holding, which already run, that already have, already have, that carry
    """,
    "TOGETHER": """
        together, in one place, side by side, as a group, grouped, packed together, with each
        other, with one another, to each other, to one another, jointly, group, clustered, all
        in one
    """,
    "SHARE": """
        mix~,
        share~, co share, occupy, occupying
    """,
    "ONE": "one",
    "SAME": """
        same, the same, a single, single, one single, a common, common, identical, this same,
        one and the same, the very same
    """,
    "DIFFERENT": """
        different, distinct, its own, their own, various, multiple, several, differing, diverse,
        more than one, two different, three different, a different, as many different
    """,
    "PART": """
        repel~, anti affinity, antiaffinity, pod anti affinity, separate, isolate~, segregate~,
        shield~, quarantine~, detach~, keep separate, insulate~, partition~, protect~ from,
        hide~
    """,
    "AWAY": """
        {a |some |a safe |safe |a good |plenty of }distance {to|from}, {keep|keeps|keeping|stay} {a
        |its |our |some |a safe |safe |a good |plenty of |}distance {to|from},
        further from, farther from, further away from, farther away from, pod anti affinity to,
        pod anti affinity with, pod anti affinity against, pod anti affinity for, distance
        between this and, distance between us and, distance between it and, some distance
        between this and, some distance between us and, away from, far from, far away from,
        apart from, separate from, separated from, clear of, distance from, isolated from,
        isolate from, distant from, a distance from, keep distance from, keep a distance from,
        keep its distance from, anti affinity to, anti affinity with, anti affinity for, anti
        affinity against, antiaffinity to, antiaffinity with, anti affinity towards, remote
        from, out of the way of, well away from, off, segregated from, segregate from, well
        clear of, elsewhere than, isolation from, decoupled from, away of, as far as possible
        from, as far away as possible from, as far away from, stay clear of, stay clear from,
        far off, detached from, divorced from, at a distance from, at a distance to, safe
        distance from, stay away from, keep away from, repelled by, nowhere near, not anywhere
        near, not even near, separately from, independent from, shielded from, quarantined from,
        keeping away from, staying away from, keep well away from, anti affine to, removed from,
        hide from, far removed from, split from, disjoint from, unrelated to, kept from
    """,
    "APART": """
        away, apart, separated, separating, separately, asunder, from each other, from one
        another, spaced out, in isolation from each other, keep distance, anti affine
    """,
    "ALONE": """
        nothing else {runs|lives|sits|is running|running},
        {node|machine|host|box|server} {of my own|of our own|of its own|of their own|to myself|to
        ourselves|to itself},
        of its own, of our own, of their own, nothing else on, nothing else running on, for
        ourselves, all for ourselves, for itself only, alone, nobody else, no one else, by
        itself, by themselves, on its own, on our own, dedicated, exclusive, exclusive use of,
        exclusive use, exclusive access, unshared, non shared, to itself, to ourselves, for
        itself, to myself, all to itself, private, solo, sole tenant, single tenant, sole
        occupant, in isolation, solitary, not shared, own node, own host, own machine, its own
        node, its own host, its own machine, to our own node, empty of other pods, full
        isolation, {|a |an |the }{whole|entire} {node|machine|host|box|server}, isolation
    """,
    # --- nearness ---
    "NEAR": """
        {p99|p95|p50|tail latency} to, as few {|network }hops as possible {to|from},
        nearish, nearish to, closeish, closeish to, close ish to, {a |}{short|quick} hop away from,
        {|network |topological }{locality|nearness|closeness|proximity} {to|with},
        closeby, close by to, distance to, close together, reachable from, reachable by, quickly
        reachable from, anywhere near, anywhere close to, near, nearby, near to, close to,
        closer to, closest to, close by, closely to, nearest, nearest to, close, closer,
        closest, in the vicinity of, in vicinity of, vicinity of, vicinity, proximity to, in
        proximity to, in close proximity to, proximity with, proximity, in the proximity of,
        nearer, nearer to, not far from, not too far from, not far away from, not far, within
        reach of, a stone's throw from, a short hop from, few hops from, few network hops from,
        few hops to, one hop from, one hop away from, a hop away from, few hops away from, a few
        hops from, minimal hops to, fewest hops to, fewer hops to, fewest hops from, short path
        to, short network path to, short distance to, short distance from, network proximity to,
        low latency to, lowest latency to, low latency towards, low latency from, low latency
        with, low latency access to, low network latency to, minimal latency to, minimal latency
        towards, minimum latency to, minimal network latency to, lowest network latency to,
        lowest possible latency to, least latency to, small latency to, short latency to,
        minimise latency to, minimize latency to, low round trip to, low rtt to, low round trip
        time to, lowest rtt to, short round trip to, short rtt to, minimal rtt to, fast link to,
        fast links to, fast path to, fast connection to, fast network to, fast access to, fast
        network access to, quick access to, good connection to, good connectivity to, good
        network to, fast connectivity to, low ping to, network distance to, network distance
        from, distance on the network to, latency to, latency towards, latency from, network
        latency to, rtt to, round trip to, ping to, hops from, hops to, round trip time to,
        latency between, latency against, latency with, latency for, well connected to, network
        close to, topologically close to, local to, in reach of, minimise the latency to,
        minimize the latency to, minimise distance to, minimize distance to, minimise network
        distance to, minimize network distance to, reduce latency to, cut latency to, low lag
        to, low delay to, minimise hops to, minimize hops to, fewest network hops to, fewest
        network hops from, minimal network hops to, few network hops to, low hop count to,
        minimise network hops to, minimize network hops to, around the corner from, at low
        latency from, a few hops away from, not too far, not very far from, not far off, quick
        link to, near by, as near as possible to, as close as possible to, as close to, as near
        to, as close as you can to, as close as we can to, as near as you can to, close enough
        to, network near, network wise close to, low network distance to, tight latency to,
        tight coupling with, best latency to, best connectivity to, best network path to,
        shortest path to, shortest network path to, shortest distance to, short hop to, short
        hop from, in the neighbourhood of, in the neighborhood of, neighbourhood of, gravitate
        towards, snappy access to, fast round trip to, fast round trips to, nearness to,
        closeness to
    """,
    "LATENCY": """
        {p99|p95|p50|tail} {latency|rtt|ping},
        low latency, low network latency, network latency, latency, lowest latency, minimal
        latency, lowest network latency, rtt, round trip, round trip time, low rtt, low latency
        network, low latency networking, low latency links, low latency connections, ping, low
        ping, minimise latency, minimize latency, network nearness, network locality, minimal
        network latency, minimise network latency, minimize network latency, hops, hop count,
        network hops, network distance, few hops, few network hops, fewest hops, best latency
    """,
    "WITHIN": """
        within, inside of, no further than, no farther than, not further than, not farther than
    """,
    # --- amounts ---
    "GE": """
        {is|are|be|being} at {least|the least}, nothing {under|below},
        at least, more than, above, minimum, minimum of, a minimum of, min, no less than, not
        less than, greater than, upwards of, larger than, bigger than, higher than, exceed~, in
        excess of, or more than, no fewer than, not fewer than, at minimum, at the very least,
        at the least, north of, beyond, >, >=, ≥, more then, greater than or equal to, starting
        at, from at least, older than, longer than, not below, not under, not less then, at
        least about, well over, well above, better than, no smaller than, not smaller than, a
        min of, stays above, stay above, remain above, atleast, never less than, never below,
        never under, never fewer than, no lower than, not lower than, not younger than, no
        younger than, no newer than, not newer than
    """,
    "LE": """
        not a {cent|penny|dollar} {over|above|more than},
        {is|are|be|being|stay|stays} at {most|the most}, nothing {over|above|beyond}, none
        {over|above},
        at most, less than, below, under, maximum, maximum of, a maximum of, max, no more than,
        not more than, fewer than, up to, lower than, smaller than, beneath, <, <=, ≤, less
        then, not above, not over, not exceeding, does not exceed, do not exceed, not exceed,
        not exceed~, at the most, cheaper than, less than or equal to, at maximum, south of,
        younger than, newer than, shorter than, no greater than, not greater than, no higher
        than, not higher than, well under, well below, no larger than, a max of, no bigger than,
        stays below, stay below, remain below, keep below, keep under, stay under, capped at,
        cap at, limited to, atmost, never more than, never above, never over, never exceed,
        never exceeding, cap of, limit of, a limit of, not larger than, not bigger than, in the
        last, within the last, during the last, in the past, within the past, no older than, not
        older than, sub
    """,
    "EQ": """
        exactly, about, around, roughly, approximately, approx, precisely, equal to, =, ==,
        circa, ~, some, close on
    """,
    "ORMORE": """
        or more, or higher, and up, and above, or above, plus, or better, or faster, +, or
        greater, or larger, or over, and more, and upwards, or bigger, upwards, at a minimum, as
        a minimum
    """,
    "ORLESS": """
        or less, or lower, or fewer, or below, or under, and below, tops, or smaller, at a
        maximum, as a maximum
    """,
    "BETWEEN": """
        between, anywhere between, somewhere between, in the range, ranging from, in the range
        of
    """,
    "MOST": """
        too much, too many, most, plenty of, plenty, lots of, lots, a lot of, as much, as much
        as possible, as many, as many as possible, ample, abundant, large, larger, largest,
        large amount of, large amounts of, big, bigger, biggest, high, higher, highest, more,
        much, maximal, maximise~, maximize~, loads of, tons of, enough, sufficient, generous, a
        great deal of, huge, rich, richest, greatest, roomy, roomiest, spacious, fast, faster,
        fastest, good, great, abundance of, copious, tons, beefy, beefiest, heaps of, wide,
        widest, massive, an abundance of, substantial, many, max out, fat, extra, high speed,
        highest available, a high amount of, decent, excellent, considerable, loads, heavy,
        intensive, generously, rapid, quick
    """,
    "LEAST": """
        least, little, less, few, fewer, fewest, low, lower, lowest, small, smaller, smallest,
        minimal, minimise~, minimize~, reduce~, hardly any, barely any, scarce, slow, slower,
        slowest, tiny, limited, as little, as little as possible, as few, as few as possible,
        scant, insufficient, not much, not enough, short of, low on, running low on, running out
        of, starved of, short on, not many, tight on, poor, meagre, cut down, cut
    """,
    "FREE": """
        free, available, unused, spare, left, headroom, unallocated, unoccupied, availability,
        free up, unreserved, to spare, left over, leftover, vacant, unclaimed, slack,
        allocatable, still free, open, room, on hand, uncommitted, unrequested
    """,
    "USED": """
        used, usage, utilisation, utilization, use of, in use, consumption, load, pressure,
        occupied, occupancy, utilised, utilized, consumed, taken, reserved, busy with,
        committed, filled, saturation
    """,
    "IDLE": """
        {some|keep some|keep} headroom,
        enough {room|headroom|capacity|space}, room {for growth|for more|left},
        room to spare, plenty of room to spare, emptiest, empty, idle, least loaded, least busy,
        least used, least utilised, least utilized, less loaded, less busy, less used, less
        utilised, less utilized, less crowded, less full, underutilised, underutilized, under
        utilised, under utilized, under used, underused, lightly loaded, lightly used, lightly
        utilised, lightly utilized, low load, low utilisation, low utilization, low usage,
        mostly empty, mostly idle, least crowded, least occupied, not busy, uncrowded, lower
        load, lowest load, lowest utilisation, lowest utilization, most free capacity, most free
        room, most room, lots of room, plenty of room, most headroom, most free resources, most
        available resources, plenty of headroom, lots of headroom, spare capacity, plenty of
        capacity, plenty of free capacity, plenty of spare capacity, most capacity, idlest, most
        idle, freest, most available capacity, lots of free capacity, lots of capacity, lots of
        spare capacity, relaxed, unloaded, least full, low occupancy, emptier, most spare
        capacity, free nodes, room to grow, room to breathe, ample headroom, plenty of free
        resources, lots of free resources, most free space, plenty of spare room, lots of spare
        room, under loaded, underloaded, lowly utilised, less occupied, lightly packed, sparsely
        used, sparse, sleepy, bored, least filled, least packed, nearly empty, almost empty,
        half empty, completely empty, lower utilisation, lower utilization, barely used, hardly
        used, low pressure
    """,
    "BUSY": """
        fullest, the fullest, busy, busier, busiest, full, fuller, nearly full, almost full,
        crowded, overcrowded, most crowded, overloaded, heavily loaded, heavily used, heavily
        utilised, heavily utilized, highly utilised, highly utilized, highly loaded, highly
        used, loaded, packed, most loaded, most used, most utilised, most utilized,
        overcommitted, over committed, oversubscribed, saturated, partially used, partly used,
        partially filled, partly filled, partially full, partly full, already used, in heavy
        use, high load, high utilisation, high utilization, high usage, hot, overutilised,
        overutilized, over utilised, over utilized, already busy, already full, half full,
        partially occupied, partly occupied, well used, well filled, well utilised, well
        utilized, heavy load, most packed, maxed out, congested, swamped, strained, stressed,
        hotspots, hot spots, hotspot, hot spot, most occupied, already occupied, overbooked,
        over loaded, over used, overused, already partly used, already partially used, most
        filled, jammed, tightly packed, densely packed, already in use, at capacity, under
        pressure, under load, under heavy load, under high load, high pressure, slammed,
        crammed, least empty, tied up
    """,
    "PACK": """
        pack tightly, packed tightly, pack tight, bin pack, binpack, bin packing, binpacking,
        bin pack~, binpack~, consolidate~, fill up, fill~ up, pack densely, pack tightly
        together, fill~, dense packing, tight packing, pack~, compact~, densely, tightly, top
        up, cram~, defragment~, fill in, consolidation, dense placement, tight, dense, snugly,
        best fit, pack onto, pack it, pack us, pack this, pack them, use up, tetris
    """,
    # --- resources ---
    "RES:cpu": """
        core count, number of cores, cpu count,
        cpu, cpus, processor, processors, compute, cpu time, cpu cores, cpu capacity, compute
        capacity, processing power, cpu resources, vcpu capacity
    """,
    "RES:memory": """
        memory, ram, mem, system memory, host memory, main memory, node memory, system ram, host
        ram
    """,
    "RES:gpu-memory": """
        gpu memory, vram, hbm, video memory, gpu mem, gpu ram, graphics memory, video ram,
        memory on the gpu, gpu vram, memory per gpu, memory on each gpu, device memory,
        accelerator memory, memory on the card, memory per card, hbm memory, memory of gpu, on
        card memory, card memory, gpu hbm, hbm2e, hbm3, on gpu memory, framebuffer, frame
        buffer, memory on gpu, on the gpu, per gpu, on each gpu, per card, graphics ram, onboard
        memory
    """,
    "RES:disk": """
        disk, disk space, ephemeral storage, local storage, local disk, local disk space, disk
        capacity, scratch space, scratch, disks, storage, storage space, scratch disk, free
        disk, hard disk space, disc, disc space, storage capacity, node storage, root disk,
        scratch storage
    """,
    "RES:bandwidth": """
        pipe, pipes,
        bandwidth, network bandwidth, throughput, network throughput, networking, network, nic,
        ethernet, network speed, uplink, net bandwidth, network capacity, nics, interconnect,
        networks, network card, network link, network links, link speed, network connection,
        uplinks
    """,
    "RES:any": "resources, capacity, resource, overall, total, resources of any kind",
    "RES:price": "price, hourly price, hourly rate, hourly cost, price tag, rate, node price",
    "RES:power": """
        power, power draw, wattage, power consumption, power usage, tdp, power budget, draw,
        draws, drawing, watts draw, power use
    """,
    "GPU": """
        gpu count, number of gpus,
        gpu, gpus, accelerator, accelerators, card, cards, gpu devices, gpu device, graphics
        card, graphics cards, devices, graphics processors, gpu cards, gpu card, accelerator
        cards, boards, device, superchip, superchips
    """,
    # --- kinds of node ---
    "FEATURE:spot": """
        spot, preemptible, pre emptible, preemptable, interruptible, reclaimable, spots, spot
        market, spot vms, spot instances, spot capacity, preemptibles, preempt prone
    """,
    "FEATURE:on-demand": """
        on demand, ondemand, non preemptible, non spot, reserved instances, reserved nodes,
        reserved capacity, reserved instance, non interruptible, nonpreemptible,
        uninterruptible, reserved machines, regular priced, non pre emptible, reserved hosts,
        reserved node
    """,
    "FEATURE:arm64": """
        arm64, arm, aarch64, graviton, arm based, arm64 based, ampere altra, armv8, graviton2,
        graviton3, graviton4, arm 64, grace cpu, grace cpus, arm cpus, arm cpu, arm processors,
        arm v8
    """,
    "FEATURE:amd64": """
        amd64, x86, x86 64, x86_64, x64, intel cpu, intel cpus, amd cpu, amd cpus, xeon, epyc,
        intel processors, intel machines, intel nodes, intel hosts, intel servers, intel, intel
        based, x86 based, x86 architecture, intel xeon, amd epyc, amd processors, intel
        processor, amd processor, intel or amd cpus, xeons
    """,
    "FEATURE:ssd": """
        ssd, ssds, solid state, solid state disk, solid state disks, solid state drives, solid
        state drive, ssd backed, ssd disks, ssd storage, ssd disk, solid state storage, local
        ssd, local ssds, ssd drives
    """,
    "FEATURE:nvme": """
        nvme, local nvme, nvme ssd, nvme ssds, nvme disk, nvme disks, nvme drives, nvme storage,
        nvme drive, local nvme ssd, local nvme ssds, local nvme disks, local nvme storage, local
        nvme disk, nvmes, fast nvme, nvme scratch, nvme backed, local nvme drives
    """,
    "FEATURE:hdd": """
        hdd, hdds, spinning disk, spinning disks, hard disk, hard disks, hard drive, hard
        drives, rotational disks, rotational disk, magnetic disks, spinning rust, magnetic disk,
        spinning drives, rotating disks, mechanical disks, mechanical disk, spinning hard drives
    """,
    "FEATURE:infiniband": """
        infiniband, infini band, ib, rdma, roce, efa, rdma capable, infiniband fabric, rdma
        network, rdma networking, infiniband network, infiniband networking, rdma nics,
        infiniband interconnect, rdma enabled, rocev2, infiniband links, ib fabric, efa enabled,
        gpudirect rdma, rdma nic, rdma support
    """,
    "FEATURE:nvlink": """
        nvlink, nv link, nvswitch, nvlink capable, nvlink connected, nvlink interconnect,
        nvlinks, nvlink bridges, nvlinked, nvlink enabled, nv switch
    """,
    "FEATURE:control-plane": """
        control plane, controlplane, master, masters, control plane nodes, master node, master
        nodes, control planes, control plane node
    """,
    "FEATURE:linux": "linux",
    "FEATURE:windows": "windows",
    "CPUONLY": """
        {with |}{no|without|without a|without an|without any}
        {gpu|gpus|accelerator|accelerators|graphics
        card|graphics cards|gpu devices},
        cpu only, gpu less, gpuless, non gpu, no gpu, without gpus, without gpu, without a gpu,
        without any gpu, no gpus, plain cpu, with no gpu, with no gpus, without any gpus, non
        gpu nodes, cpu only nodes, cpu only machines
    """,
    "POOL": """
        pool, node pool, nodepool, node pools, pools, node group, nodegroup, machine pool, node
        groups, machineset, instance group
    """,
    "VENDOR:nvidia": "nvidia, tesla, geforce, quadro",
    "VENDOR:amd": "amd",
    "VENDOR:intel": "intel gpu, intel gpus",
    "FORM": """
        sxm, sxm4, sxm5, sxm2, pcie, pci e, nvl, pci express, sxm form factor, hgx, pcie
        version, sxm version
    """,
    # --- places and things ---
    "DOMAIN:zone": """
        zonal, zone level,
        zone, zones, az, azs, availability zone, availability zones, failure zone, failure
        zones, failure domain, failure domains, fault domain, fault domains, data centre, data
        center, datacenter, datacentre, datacenters, datacentres, data centers, data centres,
        dc, dcs, avail zones, availability domains, availability domain, cloud zones, az's
    """,
    "DOMAIN:region": """
        regional, region level,
        region, regions, cloud region, geographic regions, geographies, cloud regions,
        geographic region, geography
    """,
    "DOMAIN:rack": """
        rack level,
        rack, racks, cabinet, cabinets, server rack, server racks
    """,
    "DOMAIN:switch": """
        switch, switches, leaf, leaves of the network, leaf switch, leaf switches, tor switch,
        network switch, network switches, tor, top of rack switch, network leaf, top of rack
        switches, tor switches, network block, leafs, spine
    """,
    "DOMAIN:nvlink": """
        nvlink domain, nvlink domains, nvl domain, nvlink partition, nvlink clique, nvlink
        island, nvl72, nvlink islands, nvl72 domain, nvlink partitions, nvlink fabric, nvlink
        group
    """,
    "SERVER": "server, servers, instance, instances",
    "NODES": """
        node, nodes, machine, machines, host, hosts, vm, vms, box, boxes, hardware, computer,
        computers, hostname, hostnames, virtual machine, virtual machines, worker nodes, worker
        node, node type, instance type, nodes of type, instance types, kubelet, blade, blades,
        physical machine, physical machines, metal, bare metal, bare metal nodes, bare metal
        hosts, physical host, physical hosts, silicon, kubelets, types of node, node types,
        physical server, physical servers
    """,
    "PODS": """
        pod count, number of pods,
        pod, pods, workload, workloads, job, jobs, service, services, svc, deployment,
        deployments, statefulset, statefulsets, container, containers, app, apps, application,
        applications, task, tasks, process, processes, worker, workers, tier, team, tenant,
        tenants, daemonset, component, components, replicaset, stuff, microservice,
        microservices, daemons, deployment's, pods of, cluster, clusters, people, users of,
        guys, folks, endpoint, endpoints, fleet
    """,
    "REPLICA": """
        {the |}rest of {my|our|its} {replicas|pods|siblings|copies},
        copy,
        self, whole pool, entire pool, whole deployment, entire deployment, whole workload,
        everything we run, replica, replicas, copies, sibling, siblings, peers, each other, one
        another, itself, themselves, this pool, this deployment, my pods, our pods, our
        replicas, my replicas, its pods, members, members of this pool, twins, us, its copies,
        my own replicas, its own replicas, its own kind, itself and its siblings, the others of
        its kind, its peers, its siblings, same workload, own kind, own pods, own siblings, own
        replicas, our own pods, these pods, pods of this deployment, pods of this pool, pods of
        the same deployment, pods of the same workload, our own replicas, its sister pods,
        sister pods, sister replicas, our peers, our siblings, my siblings, my peers, brothers,
        other replicas, other copies, other members, other instances, pods of this service,
        replicas of this service, replicas of this deployment, instances of this service, own
        copies, own instances, other pods of this pool, other pods of this deployment, other
        instances of itself, its own pods, my own pods, our own kind, own peers, myself,
        ourselves, other replicas of this pool, other replicas of this deployment, the rest of
        this deployment, the rest of the pool, rest of its pool, rest of the deployment, same
        deployment, own pool, pool members, fellow replicas, fellow pods, fellow members, the
        pods of this service, pods of this workload, replicas of this workload, same pool, same
        service, pods of the same service, pods of the same pool, pods from this deployment,
        pods from this pool, sister, twin, own service, clones, shards of itself, other shards,
        the ensemble, its brothers, all pods, both replicas, instances of itself, the instances,
        replica's, replicas', its instances, our instances, my instances, pods in this
        deployment, pods in this pool, all of our pods, all my pods, all our pods
    """,
    "OTHER": """
        everything, any other, other, others, any, all, everyone, everybody, everything else,
        anyone, anybody, anything else, someone else, all other, all others, anything,
        whatever other, anyone else, everyone else, somebody else, other people's, foreign,
        unrelated, another, third party, strangers, neighbours, neighbors, neighbour, neighbor,
        everybody else, co tenants, roommates, cotenants, company, somebody else's, other peoples,
        someone
        else's, co tenant
    """,
    "NS": "namespace, namespaces, ns",
    "LABELLED": """
        labelled, labeled, label, labels, tagged, tag, marked, with label, with labels, with the
        label, carrying the label, with a label, labelled with, labeled with, having label,
        matching, selector, with the labels, marked with, tagged with, labelled as, labeled as,
        annotated, matching label, matching the label, whose label, that match, labelling, whose
        labels
    """,
    "NAMED": "named, called, by the name of, by the name, known as, name",
    # --- qualities ---
    "BALANCE": """
        {level|levelled|leveled|levelling} {load|utilisation|utilization|usage|use},
        {equal|the same|similar} {load|utilisation|utilization|usage},
        {evenly|equally} {use|uses|using|used|utilise|utilize|load},
        level the load, levels the load, level load, balance~, in balance, well balanced, load
        balanced, balance of, in proportion, proportional, proportionally, proportionate, even
        out, evened out, evens out, evening out, equalise~, equalize~, levelling, level out,
        balanced use of, evenly used, used evenly, evenly utilised, evenly utilized, even use
        of, even utilisation, even utilization, even usage, balanced usage, in step,
        equilibrium, imbalance, imbalanced, unbalanced, lopsided, skewed, uneven, unevenly,
        skew, balancedly, in equal measure, equally used, evenly loaded, rebalance~, evenly
        balanced, harmonise~, even load, even, proportion, balanced out, lop sided, unevenly
        used, in tune, symmetrically used, in harmony, one sided, even resource use, even
        resource usage, symmetric
    """,
    "STRAND": """
        strand~, fragment~, fragmentation, left stranded, resource fragmentation, wasted,
        wasting, orphaned
    """,
    "STABLE": """
        stable, stability, reliable, reliability, proven, dependable, trustworthy, solid,
        robust, healthy, healthiest, most reliable, most stable, battle tested, well tested,
        mature, established, steady, trusted, rock solid, rarely restart, rarely reboot, rarely
        fail, rarely crash, seldom fail, seldom restart, seldom reboot, rarely restarts, rarely
        reboots, rarely fails, not flaky, long lived, time tested, rarely go down, does not
        crash, do not crash, do not restart, do not reboot, do not fail, seldom go down, rarely
        goes down, seldom crash, steadiest, track record, good track record, few restarts, low
        failure rate, hardly ever fail, hardly ever restart, hardly ever reboot, fewest
        restarts, fewest failures, fewest reboots, few failures, few reboots, low restart count,
        known good, hardly ever go down, rarely crashes, hardly ever crash, stays up, stay up,
        seasoned, rarely flap, no restarts, clean history, clean record, uptime record, well
        behaved, not known to fail
    """,
    "UNSTABLE": """
        {reboot|restart|crash|fail|flap|die}{|s} {all the time|constantly|every day|every
        night|every week|regularly|too often|too much},
        {crashed|failed|rebooted|restarted|died|flapped|broke|went down} {recently|lately|a
        lot|often|before|today|yesterday|last week|last night},
        failing, crashing, unstable, instability, flaky, flakey, unreliable, failure prone,
        crashy, shaky, wobbly, faulty, broken, unhealthy, restart often, restarts often, reboot
        often, crash often, fail often, often restart, often reboot, often fail, often crash,
        frequently restart, frequently reboot, frequently fail, flapping, undependable, crash
        prone, error prone, reboots often, keep crashing, keep rebooting, keep restarting, keep
        failing, unproven, untrusted, dodgy, sketchy, brittle, fragile, often restarts, often
        reboots, often fails, frequently restarts, frequently reboots, frequently fails, restart
        a lot, reboot a lot, fail a lot, crash a lot, keep going down, keeps going down, often
        go down, go down often, flappy, keeps rebooting, keeps crashing, keeps restarting,
        volatile, frequent restarts, frequent reboots, frequent failures, history of failures,
        history of restarts, history of reboots, many restarts, many failures, known to fail,
        known to crash, reboot frequently, restart frequently, fail frequently, crash
        frequently, prone to failure, prone to crashes, prone to failures, prone to crashing,
        suspect, untested, recent failures, recent restarts, recent reboots, high failure rate,
        bad track record, poor track record, rickety, glitchy, temperamental
    """,
    "OLD": """
        been {around|here|there|up|running|in service} {longest|the longest|for longest|for the
        longest},
        old, older, oldest, long uptime, longest uptime, high uptime, longer uptime, uptime,
        long running, longest running, long standing, been up for long, been up for a long time,
        up for a long time, up for long, been around, aged, highest uptime, been around for a
        while, been up for a while, up the longest, been up the longest, been running for long,
        age, good uptime, been running for a long time, veteran, longstanding, longest lived,
        been up longest, up longest, been running the longest, around the longest, been around
        the longest, great uptime, been up a while, been running for a while, been around for a
        long time, been up for ages, been running for ages, been up a long time, been in service
        longest, in the cluster longest, in the cluster the longest, uptimes, long uptimes,
        lived longest, tenure, around for a while, been in the cluster longest, been in the
        cluster the longest
    """,
    "NEW": """
        new, newer, newest, fresh, fresher, freshest, freshly joined, newly joined, recently
        joined, newly added, recently added, freshly added, just joined, just added, young,
        younger, youngest, brand new, recently rebooted, freshly rebooted, just rebooted,
        recently restarted, freshly started, recently started, freshly booted, recently booted,
        newly provisioned, freshly provisioned, recently provisioned, just provisioned, newly
        created, recently created, freshly created, just booted, just started, newly started,
        newly booted, just came up, just come up, only just joined, joined recently, rebooted
        recently, restarted recently, added recently, just restarted, freshly restarted, short
        uptime, low uptime, joined lately, only recently joined, just been added, just been
        rebooted, just been restarted, have just joined, has just joined, joined just now,
        newcomers, newcomer, short lived, started recently, created recently, booted recently,
        provisioned recently, only just booted, newly launched, freshly launched, recently
        launched, came up recently, up only recently, recent, newly spun up, freshly spun up,
        just spun up, freshly baked, joined the cluster recently, recently replaced, freshly
        reimaged, freshly installed, newly installed
    """,
    "UPFOR": """
        up for, been up for, been up, up since, have been up for, has been up for, running for,
        been running for, uptime of, alive for, been alive for, uptime above, been online for,
        online for, in service for, been in service for, uptime over, been part of the cluster
        for, in the cluster for, been in the cluster for, been around for, around for, an uptime
        of, joined, added, uptime exceeding, old enough, existed for, have existed for, been
        there for, part of the cluster for, in operation for, been in operation for, uptime
        beyond
    """,
    "AGO": "ago, of age, of uptime, in age, in service, of running",
    "NOISE": """
        noisy neighbours, noisy neighbors, noisy neighbour, noisy neighbor, noisy, noise,
        noisiest, interference, contention, resource contention, contended, contentious, cpu
        steal, steal time, interfering, disturb~, disturbance, disturbances, noisy pods, noisy
        workloads, noisy jobs, noisy tenants, noisy services, loud, loud neighbours, loud
        neighbors, resource hogs, resource hog, cpu hogs, hogs, bully, bullies, interfere~, low
        noise, noisy ones, jitter, noisy apps, noisy containers, noisy processes, aggressive
        neighbours, aggressive neighbors, cache contention, throttling, hog, hogging, memory
        hogs, greedy neighbours, greedy neighbors, bursty neighbours, bursty neighbors, rowdy
        neighbours, rowdy neighbors, rowdy, noisy co tenants, noisy cotenants, cross talk,
        crosstalk, bandwidth hogs, competing workloads, compete~, noisy stuff, noisy
        environment, noisy environments, bad neighbours, bad neighbors, heavy neighbours, heavy
        neighbors, performance interference, noisy machines, noisy nodes, noisy hosts, gpu hogs,
        disruptive neighbours, disruptive neighbors, troublesome neighbours, troublesome
        neighbors, fighting for resources, fight for resources, contending, contend~
    """,
    "QUIET": """
        quiet, quieter, quietest, calm, calmer, calmest, peaceful, undisturbed, noise free,
        silent, low interference, low contention, little noise, little interference, little
        contention, uncontended, calm neighbours, calm neighbors, quiet neighbours, quiet
        neighbors, least noisy, less noisy, minimal interference, minimal contention, minimal
        noise, tranquil, interference free, contention free, well behaved neighbours, well
        behaved neighbors, least interference, least contention, least noise, less interference,
        less contention, less noise, serene, in peace, peace and quiet, least contended, less
        contended, no interference, no contention, no noise, noiseless
    """,
    "CHEAP": """
        whatever {is cheapest|is cheaper|is the cheapest|costs least|costs the least|costs less},
        {price|cost} {over|before} {performance|speed},
        {money|budget|cash} tight, every {penny|cent|dollar} counts, penny wise,
        {price|cost|costs} {|do |does |really |does really |do really }{matter|count},
        {price|cost} counts, not pay {much|a lot|too much},
        pay {less|little|as little as possible|as little|the least}, price
        {conscious|sensitive|aware}, dirt cheap, {cheap|inexpensive} to run, not break the bank,
        money is tight, cash is tight,
        budget is {tight|small|limited|low}, budgets are {tight|small|limited|low},
        {we are |}on {a tight|a small|a low|tight|limited|a shoestring} budget, tight budget,
        shoestring budget,
        cheap, cheaper, cheapest, inexpensive, low cost, lower cost, lowest cost, cost
        efficient, cost effective, cost effectively, economical, economy, economic, affordable,
        save money, saves money, saving money, low price, low priced, lowest price, lower price,
        cost saving, cost savings, cost conscious, budget, budget friendly, frugal, thrifty,
        cheaply, best price, least expensive, less expensive, less costly, least costly,
        minimise cost, minimize cost, minimise costs, minimize costs, keep cost low, keep costs
        low, keep costs down, keep the cost low, keep the costs low, keep the bill low, keep the
        price low, reduce cost, reduce costs, lower the cost, cut costs, value for money, most
        economical, cost aware, low budget, on a budget, keep cost down, keep the cost down,
        keep the bill down, save on cost, save on costs, save cost, save costs, cost optimised,
        cost optimized, cost sensitive, bang for the buck, price efficient, minimal cost,
        minimum cost, minimise spend, minimize spend, discounted, bargain, low costs, cost
        efficiently, money saving, penny pinching, most affordable, spend less, spend as little
        as possible, spend little, spend as little, cost matters, price matters, cost
        efficiency, cost effectiveness, wallet friendly, cheapness, save a few bucks, save us
        money, save some money, saves us money, minimise expense, minimize expense, minimise
        expenses, minimize expenses, good value, best value, keep expenses low, keep expenses
        down, be cheap, cost optimal, minimise price, minimize price, minimise the bill,
        minimize the bill, minimise the cost, minimize the cost, light on the wallet, easy on
        the wallet, easy on the budget, keep the budget low, low spend, cheapo, minimal spend,
        minimal price, minimise spending, minimize spending, cheap ones, cut the bill, reduce
        the bill, reduce spend, lower costs, bargain basement
    """,
    "DEAR": """
        {cost|costs} {a fortune|too much|a lot|the earth|an arm and a leg}, break the bank,
        expensive, pricey, pricy, costly, dear, high cost, high priced, overpriced, high price,
        most expensive, high costs, luxury, costliest, priciest, highest cost, top dollar, more
        expensive, high end pricing, exorbitant, dearest, premium priced
    """,
    "COST": """
        burning money, wasting money, waste money, burn money, waste of money, cost, costs,
        money, spend, spending, bill, expense, expenses, costing, budgets, costwise, cost wise,
        dollars spent
    """,
    "MONEY": "dollar, dollars, usd, bucks, buck, $, us dollars, us$",
    "PERHOUR": """
        an hour, per hour, hourly, /h, /hr, /hour, a hour, each hour, ph, per hr, / hour, / h, /
        hr, per node hour, per node and hour, every hour, an hr, per h
    """,
    "ENERGY": """
        {sip|sips|sipping} {power|energy|electricity},
        {use|uses|using|draw|draws|drawing|consume|consumes|consuming|burn|burns|need|needs}
        {little|less|the least|least|minimal|not much|the minimum} {power|energy|electricity},
        carbon light, light on carbon, light on {power|energy|electricity}, easy on {|the
        }{power|energy|electricity}, go easy on {|the }{power|energy|electricity},
        frugal with energy, frugal with power, thrifty with energy, energy efficient, energy
        saving, energy efficiency, energy, low power, low energy, power efficient, power saving,
        power efficiency, lower power, least power, less power, green, greener, greenest, low
        carbon, lower carbon, lowest carbon, carbon, carbon neutral, carbon aware, carbon
        intensity, low carbon intensity, carbon footprint, small carbon footprint, renewable,
        renewables, renewable energy, renewable power, renewable powered, green energy, green
        power, sustainable, sustainability, eco friendly, eco, ecological, environmentally
        friendly, climate friendly, clean energy, low emission, low emissions, emissions, save
        energy, save power, save electricity, saves energy, saving energy, saves power, power
        hungry, energy hungry, power hogs, energy hogs, power guzzling, power guzzlers, energy
        guzzling, energy guzzlers, co2, low co2, electricity, watts, low wattage, solar, solar
        powered, wind powered, hydro, hydro powered, hydropower, power frugal, energy frugal,
        energy conscious, energy aware, power aware, power friendly, minimise power, minimize
        power, minimise energy, minimize energy, minimise energy use, minimize energy use,
        minimise power use, minimize power use, minimise carbon, minimize carbon, power sipping,
        waste energy, wastes energy, waste power, wastes power, burn energy, waste electricity,
        burn power, use a lot of power, use lots of power, use lots of energy, use a lot of
        energy, draw a lot of power, draw lots of power, guzzle~ power, guzzle~ energy, energy
        wasting, power wasting, high power, energy intensive, power intensive, carbon intensive,
        dirty energy, dirty power, coal, coal powered, environment, planet, climate, least
        energy, less energy, power thirsty, energy thirsty, clean power, carbon free, zero
        carbon, energy wise, decarbonised, decarbonized, energy sipping, energy consumption,
        carbon dioxide, minimal power, minimal energy, energy usage, energy use, eco conscious,
        green powered, low watt, efficient, more efficient, most efficient, performance per
        watt, perf per watt, lowest power, lowest energy, wind power, solar power, hydro power,
        low footprint, minimal carbon, fossil, fossil fuel, fossil fuels, greenhouse gas
    """,
    # --- shape of sentences ---
    "AND": """
        and, or, as well as, and also, or else if, and or, and then, then, &, nor the,
        additionally, in addition, and likewise, moreover, furthermore, besides that, on top of
        that, further, likewise, otherwise also, or even, as also, alternatively, or
        alternatively, and finally, finally, next, second, secondly, thirdly, third, first,
        firstly, first of all, and preferably, lastly, along those lines, and equally
    """,
    "BUT": """
        but, however, although, though, yet, whereas, while, but also, even though, still,
        albeit, whilst, nevertheless, nonetheless, on the other hand, and yet, but still, but
        rather, but definitely, but then
    """,
    "CONTRAST": """
        rather than, instead of, in preference to, as opposed to, in favour of, in favor of,
        before any, ahead of, in place of, versus, vs, sooner than, not so much, in lieu of,
        compared to, compared with, and not so much, more than any
    """,
    "FALLBACK": """
        else,
        otherwise, or else, failing that, fall back to, fall back on, falling back to, falls
        back to, falling back on, fallback to, as a fallback, fallback, if not, second choice,
        as second choice, as a second choice, as a backup, as backup, as plan b, plan b, as a
        last resort, last resort, next best, second best, if not available, if unavailable, if
        none is free, if none are free, if none is available, if none are available, failing
        this, else use, if not then, as fallback, as a backup plan, if that fails, if there are
        none, if there is none, if that is not possible, if not possible, if those are full, if
        those are taken, if that is full, if those are not available, runner up, as an
        alternative, backup option, if they are not available, if they are unavailable, if they
        are full, settle for, with a fallback to, if nothing is free, if they are taken, if that
        does not work, secondary choice, if there is no such node, plan b is, backup plan, if
        impossible
    """,
    "REASON": """
        {to |}{leave|leaving|keep|keeping} {room|space} for,
        because, because of, since, so that, in order to, in order that, due to, thanks to,
        owing to, as it is, as they are, as these are, as those are, as we are, such that, given
        that, for the sake of, in case of, as it has, as we have, as they have, which makes,
        which is why, hence the, to be able to, with a view to, so we, so it, so they, so our,
        so the, so a, so if, seeing that, on account of, in view of, meaning, in case, lest, the
        reason being, reason being, so one, so no, so i, so any, so anything, as there, that
        way, given the, given our, in light of, given, for that reason
    """,
    "CONDITION": """
        if, unless, when, whenever, until, once, after, during, before, provided that, provided,
        assuming, as long as, only if, only when, as soon as, by night, while it, except when,
        except if, should there, depending on, as soon, every time, at night, at weekends
    """,
    "IGNOREAFTER": """
        not about, do not care about, does not care about, not care about, do not care, does not
        care, no matter, no matter the, no matter which, no matter how, regardless of,
        irrespective of, independent of, no need to, no need for, need not, do not need to, does
        not need to, do not need, does not need, not need, does not have to, do not have to, not
        have to, not necessarily, no preference for, no preference on, no preference about, no
        preference, indifferent to, indifferent about, never mind, ignore, ignoring, disregard,
        disregarding, without regard to, without regard for, not bothered about, not bothered
        by, not fussed about, does not need to be, do not worry about, not worried about,
        whatever the, whichever zone, whichever node, whatever, not picky about, not fussy
        about, agnostic to, agnostic about, agnostic of, unconcerned by, unconcerned about, not
        concerned about, not concerned with, not particular about, no opinion on, no opinion
        about, not required to, feel free to use, forget about, forget the, do not require, does
        not require, no requirement for, no requirements on, not obliged to, not a concern for,
        not interested in, flexible about, flexible on, not sensitive to, could not care less
        about, no constraint on, no constraints on, easy about, not needed to
    """,
    "IGNOREBEFORE": """
        does not matter, do not matter, not matter, irrelevant, is irrelevant, are irrelevant,
        unimportant, is unimportant, not an issue, no issue, is fine either way, either way, is
        not a concern, not a concern, no concern, is up to you, up to you, makes no difference,
        make no difference, immaterial, is no object, no object, not a factor, is not a factor,
        no problem, is the same to me, is all the same, not needed, is not needed, are not
        needed, of no importance, of no concern, not relevant, not a problem, not of interest,
        does not really matter, do not really matter, is not an issue, are not an issue, i do
        not mind which, not matter to us, not matter to me, is negotiable, of no interest,
        matters not, at all the same, neither here nor there, not a consideration, is secondary
        to nothing, is all the same to us
    """,
    "FINE": """
        is fine, are fine, fine, is ok, are ok, ok, okay, is okay, are okay, is good, are good,
        will do, is acceptable, are acceptable, is alright, are alright, alright, works for us,
        works for me, is perfectly fine, are perfectly fine, are welcome, is welcome, they are
        fine, it is fine, would do, that is fine, that is ok, all right, is all right
    """,
    "IS": """
        is, are, was, were, been, be at, it is, there is, there are, is at, are at, should be,
        sits at
    """,
    "SUBJECT": """
        latency {sensitive|critical},
        {they|it|those|these|that} {is|are} {too|bad|useless|terrible|awful|no use|a
        problem|problematic|overkill|inadequate|unwelcome},
        this is, we are, i am, this workload is, this pod is, this job is, our workload is, our
        job is, it uses, it needs about, this uses, we use about, this job uses, the job uses,
        the model uses, it takes, this takes, it consumes, this consumes, we consume, it has,
        this has, our model is, the model is, the workload is, it was, this was, this model is,
        the model has, this workload uses, this pod uses, it requests, the workload uses, this
        service is, this pool is, our service is, this job has, the job has, this model has, our
        model has, this model uses, our model uses, the service is, the job is, the pod is, this
        job takes, the job takes, each replica uses, each pod uses, the pods use, it loads, it
        serves, this serves, we serve, this model serves, the model serves, it reads, it writes,
        this workload has, our model needs, it will use, it will take, it typically uses, it
        usually uses, it currently uses, it runs, this runs, our job uses, our job runs, my job
        is, my job uses, this workload only, this image only, the image only, we only use, we
        only do, it only does, we train, this pod serves, this pod does, this job does, this
        workload does
    """,
    "THAN": "than, as",
    "TO": "to, towards, toward",
    "OF": "of, from, for, worth of, out",
    "IN": "in, on, at, into, onto, inside, upon, in the, located in, located at, on to",
    "FOR": "for the, to get, to have, to achieve",
    "DET": """
        a few,
        either, the, a, an, my, our, its, their, this, that, these, those, your, his, her, some
        of, one of, any of, all of, each of, most of, several of, whole, entire, current, own,
        main, certain, such, very, quite, too, so, just, fairly, pretty, rather a, relatively,
        reasonably, somewhere, actual, same old, both, already, currently, well, decently, as
        possible, possible, particularly, especially, exactly the, as well, respective,
        corresponding, local
    """,
    "FILL": """
        had,
        equipped, compatible, disktype, disk type, storage type,
        {latency|network|resource} wise,
        {anything|everything|something|whatever is}
        {newer|better|faster|bigger|else|higher|bigger|older|smaller} {is|are}
        {fine|ok|okay|good|alright|welcome}, {anything|everything|something|whatever is}
        {newer|better|faster|bigger|else} will do,

        {kill~|ruin~|hurt|hurts|hurting|wreck~|spoil~|skew~|break|breaks|breaking|destroy~|hit
        |hits|hitting|eat|eats|eating}
        {|our |my |the |its |all our }{p99|p95|tail latency|tail
        latencies|latency|latencies|slo|slos|sla|slas|traces|results|numbers|benchmarks
        |measurements|performance|throughput},
        thx,
        or nothing, or bust, or nothing at all,
        no exceptions, no exception, without exception, or newer, or later, no ifs, no buts,
        also, connected, attached, please, pls, plz, full stop, period, end of story, nothing
        else, nothing else will do, whichever, whichever is, overload, i, we, you, it, they, he,
        she, me, them, there, here, do, does, did, will, would, can, could, may, shall, should
        also, is it, hi, hello, hey, thanks, thank you, thanks a lot, cheers, dear scheduler,
        moorage, kubernetes, k8s, which, who, what, how, why, kind, kinds, type, types, sort,
        kindly, anyway, somehow, it should, this should, up, only the, whole lot, more or less,
        in general, generally, usually, normally, often, sometimes, mostly, mainly, primarily,
        time, times, hour, way, ways, thing, things, spot on, case, cases, point, side, end,
        day, workload placement, matters, matter, matters a lot, matters most, a lot, lot,
        number, amount, level, sure, able, see, know, think, guess, say, tell, ask, mean, means,
        said, one that, ones, ones that, simply, again, ever, itself too,
        doing, done, made, such as, e g, i e, etc, eg, ie, something, somebody, someone,
        anywhere, everywhere, location, locations, first choice, choice, option, options, mind,
        minded, hint, hints, note, my wish, wish list, reason, reasons, allow, allowed, allows,
        respect, terms, capable, enabled, support, supports, supporting, supported, new
        instructions, previous, instructions, instruction, rules, rule, above that, following,
        please note, idea, goal, goals, objective, aim, purpose, care, concern, concerned,
        quality, performance, performant, speed, nicely, gladly, potentially, especially so,
        hopefully, obviously, basically, literally, certainly, surely, of course, by the way,
        btw, fyi, imo, imho, asap, today, tomorrow, now, right now, later, soon, ok then, based,
        type of, class, version, versions, variant, variants, model's, gen, generation, family,
        series, form factor, flavour, flavor, kind of, sort of, show, shows, shown, help, helps,
        helped, try and, come, comes, came, take, takes, took, taken up, enough for, large
        enough, big enough, good enough, distance, far, farther, long, longer, short, shorter,
        mine, yours, theirs, ours, himself, herself, good for us, good for it, interested in,
        interested, latest, last, else than
    """,
}
