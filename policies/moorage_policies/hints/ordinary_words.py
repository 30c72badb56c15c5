"""Plain English words that carry no intent: never taken for misspellings, and proof of English."""

from __future__ import annotations

ORDINARY_WORDS = frozenset(
    """
    able access across act action active actual add admin after afternoon again against agent ago
    agree ahead ai air alert all allow almost along already also always am amount an analysis and
    animal another answer any anybody app apply april are area arm around array art as ask at august
    auth author auto available back backend backup bad bag bank base based bash basic basis basket
    batch bean bear beat because bed been beer before begin behind being bell belt bench bend bit
    black block blog blue board boat body boil bold book boost boot border born boss both bottle
    bottom brain branch brand bread break brief bright bring broad broker brown browser bucket bug
    build bulk bundle burn burst bus business but button buy byte cache call came camera camp can
    canary capable car care career careful carry case cash cast cat catalog catch cause cell center
    central certain chain chair chance change channel character charge chart chat cheat check
    checkpoint cheer cheese chef chess chest chief child chip chunk church circle city claim class
    clean clear clever click client climb clinic clock clone cloth cloud club coal coast coat code
    coffee cold collect college color colour column combine come comment commit common community
    company compare complete compute concept concern config connect contact contain content context
    continue contract control cook cookie cool copy core corner correct could count country course
    court cover craft crane crawl crawler cream create credit crew cross crowd crown cry cup current
    customer daily damage dance danger dark dash dashboard data database date daughter day deal debug
    december deep deer default degree delay delete deliver demand demo depend deploy depth desert
    design desk detail dev develop device diff dish distance doctor document dog done door double
    doubt draft drag drama draw dream dress drink drive driver drop dry due during dust duty each
    early earn earth east easy eat edge editor education eight either elastic eleven else email embed
    embedding employ encode encoder end engine enter entire entry envoy equal error etl evening event
    ever everyone evict exact exam example excel except exchange exist exit expect expert explain
    export extra eye face fact factor fail fair fall family fan farm fashion father fault favorite
    fear feature february federation feed feel feet female fetch field fight file film filter final
    finance find finger finish fire firm first fish five fix flag flash fleet flink flight floor flow
    flower fly focus folder follow food foot football for force forecast forest forget fork form
    format forward found four frame fraud fresh friday friend from front frontend fruit fuel fun
    function fund future gain game gap garden gas gate gateway gather gave general get gift girl give
    glad glass goal god gold gone good grade grafana grain grand graph grass gray great green grew
    grey grid ground group grow growth guard guess guest guide gun guy hair half hall hand handle hang
    happen happy hard harm hat head health hear heart heat heavy height held hello help her here hero
    hidden hide hill him his history hit hobby hold hole holiday home honest hope horse hospital hotel
    hour house how html http huge human hundred hunt hurt husband ice idea image import in inch
    include index infer inference ingest ingress inner input insert inside install instant instead
    intent internal internet invest issue item january jet job join joint joke journal judge july jump
    june junior just kafka keen keep keeper kernel key keyboard kick kid kill kind king kitchen knee
    knew knife know knowledge label labs lack lady lake lambda lamp land lane language laptop large
    last late laugh launch law layer lazy lead leader leaf learn learning leave lecture left leg legal
    lens lesson letter level library license lie life lift lily limit line link lion list listen live
    liver loader loan lobby log logger logging logic lonely look loop lord loss lost loud lunch
    machine made mail main maker male mall man manage manager map march mark market mask mass master
    match mate math matter may mayor meal mean meaning meat media medical meet meeting melt member
    memo mention menu mere mess message metal meter method metric metrics middle might migrate mild
    mile milk mill mind mine miner minor minute mirror miss mix mobile mode model modern module moment
    monday mongo monitor month mood moon more morning most mother motion motor mount mouse mouth move
    movie much music must nail naked name narrow nation native nature near neat neck net never new
    news next nice night nine noble nobody node nope north nose not note nothing notice novel november
    now number nurse object ocean october odd offer office offset often oil old once online onto open
    operator option orange order ordinary organ origin other ought out outer output oven over owner
    pace pack package page pain paint pair palm panel paper parameter parent park parser part partner
    party pass past patch path patient pattern pause pay payment peace pen people pepper per period
    person phase phone photo piano picture piece pile pilot pin pink pipe pipeline pizza plan plane
    planet plant plate play player please plenty plus poem poet point pole police policy polite poll
    pool poor pop port portal position post pound pour power praise pray prefill press pretty prime
    print prior prison prize probe problem proxy process produce product profile program project
    promise prompt proof prop proud prove public pull pump punch pupil pure push put quality quarter
    queen query question queue quick quit quote rabbit race radio rail rain raise ran range rank rare
    rate raw reach react read reader ready real record recover red refuse regex relay release rent
    repair repeat reply repo report request reset resize rest restart result retail retry return
    reward rice ride ring rise risk river road robot rock role roll roof root rope rose rough round
    route router row royal rule ruler run runner rush sad safe sail salad salary sale salt same sample
    sand sat save say scale scan scene school science score scrape screen script sea search season
    seat second secret section secure see seed seek sell send senior sense sensor sentence september
    serial serious serve server service session set settle seven shadow shake shall shape sharp sheep
    sheet shelf shell shift shine ship shirt shock shoe shoot shop shore short shot should shoulder
    shout show shower shut shy sick side sidecar sign signal silver simple since sing single sink
    sister site six size skill skin sky sleep slice slide slip slow small smart smile smoke smooth
    snow soap social socket sock soft soil soldier some song soon sorry sort soul sound soup source
    south spark speak spec speech speed spell spend spin spirit split sport spread spring sql square
    staff stage staging stair stamp stand star start state station status stay steal steam steel stem
    step stick still stock stone stop store storm story straight strange stream street stress strict
    string strong student studio study stuff style subject such sudden sugar suit summer sun sunday
    super supply sure surface swap sweet swim switch symbol sync system table tail take tale talk tall
    tank tap task taste tax tea teach teacher team tear tech tell ten tenant tennis tent term test
    tester testing text than thank that the theme then theory there thick thin thing think third this
    those thread three throw thursday ticket tide tie tiger tight tiles time tin tiny tip title to
    today toe together token tokenizer told tone tonight took tool tooth top torch total touch tough
    tour tower town toy trace tracing track trade traffic train trainer training transcoder
    transcoding transport trash travel tree trend trial trick tried trigger trip triton truck true
    trust truth try tuesday tune turn twelve twenty twin type ugly uncle under union unit until up
    update upload upper urban url usage use user usual vacuum valley value van vector vendor verb very
    video view village virus visit vllm voice vote wait wake walk wall want war warm warn wash waste
    watch water wave way weak wealth wear weather web webhook wednesday week weight welcome well went
    were west wet what wheat wheel when where which while white who whole whom why wide wife wild will
    win wind window wine wing winter wire wise wish with woman wonder wood word wore work worker
    world worry worse worst worth would wound wrap write writer wrong yard year yellow yes yesterday
    yet you young zero
    balancer packer spreader suffer waste guzzle burner saver planner
    priority evict delete print grant secret secrets token tokens password account cluster-admin root
    sudo exec shell curl wget drop tables select everything toleration tolerations taint taints
    eviction schedule scheduling preempt preemption override guidelines previous prior system user
    assistant
    analytics billing etcd postgres mysql redis kafka nginx spark airflow flink cassandra elastic
    elasticsearch mongodb rabbitmq memcached minio prometheus loki jaeger consul vault istio envoy
    nats zookeeper clickhouse milvus qdrant weaviate pgvector opensearch kibana celery ray dask
    decode decoder prefix reranker retriever sampler scorer tracker uploader downloader notebook
    notebooks jupyter experiments preprocessing postprocessing reporting reports sandbox playground
    production prod primary replica-set standby leader follower mirror archive archiver ingestion
    """.split()
)
