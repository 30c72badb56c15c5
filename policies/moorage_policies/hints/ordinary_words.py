"""Plain English words that carry no intent: never taken for misspellings, and proof of English."""

from __future__ import annotations

from moorage_policies.hints.wordlists import words

ORDINARY_WORDS = words(
    """
    able abort abstract abstracts accent access accessed accesses accessing account accounted
    accounts achieved across act action active actual add additional additions additive admin
    adverse after afternoon again against agent aggressively ago agree ahead ai air airflow alert
    algo alice all allocation allocations allocs allow almond almost along already also alter
    alternate alternatives always am amber amount an analysis analytics and animal annotate
    another answer any anybody apis apollo app apple apply approximate april architectures archive
    archiver are area ares argon arm around array art as ask aspen assistant assuring at athena
    atlas august auth author auto available awaitable awaiting back backend backup bad badger bag
    balancer balder banana bank base based bases bash basic basis basket batch bean beans bear
    beat beaver because bed been beer before begin behave behaves behind being bell belt bench
    bend berry billing binds birch bit bits black blame block blocklist blocks blog blow blue
    board boat body bogus boil bold book boost boot border born boss both bottle bottom brain
    branch brand bread break breaks brie brief bright bring broad broke broker brown browser
    bucket buddy buffered bug build building bulk bundle bunny burn burner burst bus business but
    button buy byte cache cached caches calc call callable came camera camp can canary capable car
    care career careful cares carry case cash cassandra cast casting casts cat catalog catch cause
    cedar celery cell center central certain chain chair chance change channel chaos character
    charge chart chat cheat check checkpoint cheddar cheer cheese chef cherry chess chest chief
    child chip choices chomping chunk church circle city claim clarinet class clean cleans clear
    clears clever click clickhouse client climb clinic clock clone cloned closed closes cloth
    cloud club cluster-admin coal coast coat cobalt cobra coconut code codes coffee cold collect
    collected collecting collection collections college color colour column combine come comet
    comment commit common commonly community compaction company compare compares comparing compat
    compiled compiles compiling complete completed completes completing composed compute computed
    computes computing concept concern concerns condensed conditional conditions config confused
    connect connecting connects considerations consisting consists const constant constants
    constrain constrained consul consulted consumptions contact contacts contain contained content
    contents context contexts continue continued continuing contract control controls convenience
    convention conventions converted cook cookie cool copied copy core corner correct corrected
    correctly cosh cosmos could count counting country counts course court cover craft crane
    crashed crawl crawler cream create creates creating credit crew crimson cross crowd crown cry
    cup curl currency current curry customer daemon daemonic daily damage dance danger dark dash
    dashboard dask data database date daughter day dead deal debug december deciding decode
    decoder deep deer default degree delay delays delete deleting deliver demand demo depend
    dependent deploy depth derive desc descending desert design designed desk detail detailed
    detect detected detecting detects dev develop device died diff differences differently dirs
    dish disruption distance doctests doctor document dog done donkey door double doubt downloader
    draft drag draining drama draw drawn dream dress drink drive driven driver drop dry due during
    dust duty each eagle early earn earth ease east easy eat ebony edge editor education eight
    either elastic elasticsearch eleven else email embed embedding emitting employ enable enables
    encode encoder encoding end endings engine enter entering entire entirely entry environmental
    envoy equal equality equals error establish etcd etl evening event events ever everyone
    everything evict eviction exact exam example excel except exceptional exceptions excessive
    excessively exchange exclusion exec execution executions exist existent exit exited exiting
    exits expect experiments expert explain export exported exporting expressed extended extending
    extensive extra extras eye face facing fact factor factory fail fair falcon fall family fan
    farm fashion father fault favorite fear feature february federation feed feel feet fell female
    fetch field fight file files film filter final finance find finger finish fips fire firm first
    fish five fix flag flash fleet flight flink floor flow flower fly focus folder follow follower
    food foot football for forbids force forecast forest forget forgot fork form format forward
    found four frame frames fraud freed freelist frequency fresh freshness fret freya friday
    friend from front frontend fruit fuel fun function fund future gain galaxy game gap garden gas
    gate gateway gather gave general get gift girl give gives glad glass goal god gold gone good
    gopher gouda grade grafana grain grand grant grape graph grass grave gray great greek green
    grew grey grid ground group grow growth guard guess guest guide guidelines gun guy guzzle hair
    half hall hand handle hang happen happy hard hardlink harm hat haven hazel head heads health
    heap hear heart heat heavy height held helium hello help her hera here hermes hero hidden hide
    hill him his history hit hobby hold hole holiday home honest honey hope horse hospital hotel
    hour house how html http huge human hundred hunt hurt husband ice idea identically ignored
    ignores image images import importable importing in inch include included includes
    independently index inefficient infer inference infinite infinity info ingest ingestion
    ingress inline inlined inner input insert inserted inserting inside install installs
    instanceof instant instead integrity intent inter interact intercept intercepted interface
    interfaces internal internet intersect intersected intro invest isinstance issue issued issues
    istio item ivory jade jaeger january jet job join joint joke journal judge july jump june
    junior jupiter jupyter just kafka keen keep keeper kernel key keyboard kibana kick kid kill
    kind king kitchen knee knew knife know knowledge knows krypton label labs lack lady lake
    lambda lamp land lane lang language laptop large last late laugh launch law layer lazy lead
    leader leading leads leaf leak leaked leaking leaks leap learn learned learning learns lease
    leases leave leaving lecture left leg legal lemon lens lesson letter level levels library
    license lie life lift lily lime limit line link lion list listen live liver loader loan lobby
    locale locales locals lock locked locking locks log logger logging logic logs loki lone lonely
    look loop loops loose lord loses loss lost loud lunch lynx machine machinery made mail main
    maker male mall man manage manager mango map maple march mark market marking mars mask masked
    mass master match mate math matter may mayor meal mean meaning meant measured measures meat
    media medical meet meeting melon melt member memcached memo mention menu mercury mere mess
    message meta metal meteor meter method metric metrics middle might migrate mild mile milk mill
    milvus mind mine miner minio minor minute mirror miss mix mixed mobile modal mode model models
    modem modern modes module moment monday mongo mongodb monitor monkey month mood moon more
    morning most mother motion motor mount mouse mouth move movie much muddy multiples multiplied
    multiply music must mysql nail naked name names narrow nation native nats nature near neat
    nebula neck negotiate neon neptune nest net never new news next nginx nice nickel night nine
    nits noble nobody node nonce nope north nose not note notebook notebooks notes nothing notice
    nova novel november now number numbered nurse nutty object objects occurred occurring ocean
    october odd odin offending offer office offset often oil old olive omitting once online onto
    onyx open opens opensearch operands operations operator optimize option optionals orange order
    ordinary organ origin orion other otter ought out outer outline outlined output oven over
    overloads override owner owning pace pack package packaged packaging packer packet page pain
    paint pair palm panda panel panicked paper parameter parent park parser part partner parts
    party pass password past patch patching path patient pattern pause pay payment peace peach
    pearl peer pen penny people pepper per period permit person pets pgvector phase phoenix phone
    photo piano pickled pickling picture piece pile pilot pin pine pink pipe piped pipeline pipes
    pizza plan plane planet planner plant plate play player playground please plenty plug plus
    pluto poem poet point pointing pole police policy polite poll pong pool poor pop popen port
    portal portions position positional positionals positive post postgres postprocessing pound
    pour power practice practices praise pray preceded precedence preceding preempt preemption
    preferences prefill prefix prepared preparing prepended prepending preprocessing present
    presented preserved preserving press pretty previous primary prime print printing prior
    priority prison prize probe problem problems proceeding proceeds process prod produce product
    production products profile profiles profiling program progress project projected projects
    prometheus promise promises promotion prompt proof prop proud prove provision proxy prune
    public pull pulsar pump punch pupil pure push put python qdrant quality quarter quartz quasar
    queen query question queue quic quick quit quote rabbit rabbitmq race races racy radio radon
    rail rain raise ran range ranged ranges rank rare rate rational raven raw ray reach react read
    readability readable reader ready real rebinding received recipient record recorded records
    recover recovered recovery red redacted redis referred reflected reflecting reflects refuse
    refusing regards regex regularly rejection rejections related relay release released remotes
    remove removes renderable renderables rent repair repeat repeated replace replaces replica-set
    reply repo report reported reporting reports request reranker resent reserve reset resetting
    resize resized resizing resolved respected respecting respects rest restart restored restores
    restoring result retail retain retained retaining retains retriever retry return reusable
    revealed reversed reverted reverting reward reword rice ride rights ring rise risk river road
    robot rock role roles roll roof root rope rose rotation rough round rounding rounds route
    router routine routines row rowan royal ruby rule ruler run rune runner rush sad safe sail
    salad salary sale salmon salt same sample sampler sand sandbox sane sat saturate saturn save
    saved saver say saying says scale scan scanning scans scarlet scene schedule scheduling school
    science score scorer scrape screen script scripted scripting sea search season seat second
    seconds secret secrets sect section secure see seed seek seem seems seen sees select selection
    selective sell send senior sense sensor sentence separable separates september serial serious
    serve served server service session set sets setting settings settle settled seven shadow
    shake shall shape shark sharp sheep sheet shelf shell shift shine ship shipped shirt shock
    shoe shoot shop shore short shortcut shorten shot should shoulder shout show shower shut shuts
    shutting shy sick side sidecar sides sign signal silently silver simple simulate simulated
    simulates simulating since sing single sink sister site sites situation situations six size
    sized skill skin sky sleep sleeping sleeps slice slide slip slot slots slow small smart smile
    smoke smooth snow soap social sock socket soft soil soldier some song soon sorry sort sorting
    soul sound soup source south spaces spark sparrow spawning speak speaking spec speech speed
    speeds spell spelling spend spin spirit split sport spread spreader spring spruce spurious sql
    square staff stage staged staging stair stale stamp stamped stand standby star start state
    stated states station stats status stay steal steam steel stem step stick sticky still stock
    stone stop stopping store storm story straight strange stray stream streaming street stress
    strict strike string strip stripped stripping strips strong struct stuck student studio study
    stuff style subject such sudden sudo suffer sufficiently sugar suit suite suites summer sun
    sunday super supply sure surface swap swapped sweet swim switch switched symbol sync system
    systems table tables tail taint taints take tale talk tall tank tap task taste tax tea teach
    teacher team teams tear tech teddy tell ten tenant tennis tent term test tester testing text
    than thank that the theme then theory there thick thin thing think thinks third thirty this
    thor those thought thread three throw thrown throws thursday ticket tide tidy tie tiger tight
    tiles time timer tin tiny tip tips titan title to today toe together token tokenizer tokens
    told toleration tolerations tone tonight took tool tooth top topaz torch total touch tough
    tour tower town toy trac trace tracing track tracker tracks trade traffic trail train trainer
    training trait transcoder transcoding transport traps trash travel tree trees trend trial
    trick tried trigger trip triton trout truck true trust truth try tuesday tune turkey turn
    twelve twenty twig twin type typed ugly uncle undefined under unintended union unit unlink
    unlisted unlocked unreadable until unusable up update upload uploader upper uranus urban url
    usage use user usual util vacuum valley value valued values van vault vector vendor venus verb
    versioned very video view village viper virus visit vllm voice vote wait waited waiting waits
    wake walk wall walnut want war warm warn wash waste watch water wave way weak wealth wear
    weather weaviate web webhook wednesday week weight welcome well went were west wet wget whale
    what wheat wheel when where which while white who whole whom whos why wide wider width wife
    wild will willow win wind window wine wing winter wire wise wish with woman wonder wood word
    wording words wore work worker world worry worse worst worth would wound wrap write writer
    wrong xenon yard year yellow yes yesterday yet you young zebra zero zeros zeus zookeeper
    """
)
