"""Plain English words that carry no intent: never taken for misspellings, and proof of English."""

from __future__ import annotations

from moorage_policies.hints.wordlists import words

ORDINARY_WORDS = words(
    """
    able access account across act action active actual add admin after afternoon again against
    agent ago agree ahead ai air airflow alert all allow almost along already also always am
    amount an analysis analytics and animal another answer any anybody app apply april archive
    archiver are area arm around array art as ask assistant at august auth author auto available
    back backend backup bad bag balancer bank base based bash basic basis basket batch bean bear
    beat because bed been beer before begin behind being bell belt bench bend billing bit black
    block blog blue board boat body boil bold book boost boot border born boss both bottle bottom
    brain branch brand bread break brief bright bring broad broker brown browser bucket bug build
    bulk bundle burn burner burst bus business but button buy byte cache call came camera camp can
    canary capable car care career careful carry case cash cassandra cast cat catalog catch cause
    celery cell center central certain chain chair chance change channel character charge chart
    chat cheat check checkpoint cheer cheese chef chess chest chief child chip chunk church circle
    city claim class clean clear clever click clickhouse client climb clinic clock clone cloth
    cloud club cluster-admin coal coast coat code coffee cold collect college color colour column
    combine come comment commit common community company compare complete compute concept concern
    config connect consul contact contain content context continue contract control cook cookie
    cool copy core corner correct could count country course court cover craft crane crawl crawler
    cream create credit crew cross crowd crown cry cup curl current customer daily damage dance
    danger dark dash dashboard dask data database date daughter day deal debug december decode
    decoder deep deer default degree delay delete deliver demand demo depend deploy depth desert
    design desk detail dev develop device diff dish distance doctor document dog done door double
    doubt downloader draft drag drama draw dream dress drink drive driver drop dry due during dust
    duty each early earn earth east easy eat edge editor education eight either elastic
    elasticsearch eleven else email embed embedding employ encode encoder end engine enter entire
    entry envoy equal error etcd etl evening event ever everyone everything evict eviction exact
    exam example excel except exchange exec exist exit expect experiments expert explain export
    extra eye face fact factor fail fair fall family fan farm fashion father fault favorite fear
    feature february federation feed feel feet female fetch field fight file film filter final
    finance find finger finish fire firm first fish five fix flag flash fleet flight flink floor
    flow flower fly focus folder follow follower food foot football for force forecast forest
    forget fork form format forward found four frame fraud fresh friday friend from front frontend
    fruit fuel fun function fund future gain game gap garden gas gate gateway gather gave general
    get gift girl give glad glass goal god gold gone good grade grafana grain grand grant graph
    grass gray great green grew grey grid ground group grow growth guard guess guest guide
    guidelines gun guy guzzle hair half hall hand handle hang happen happy hard harm hat head
    health hear heart heat heavy height held hello help her here hero hidden hide hill him his
    history hit hobby hold hole holiday home honest hope horse hospital hotel hour house how html
    http huge human hundred hunt hurt husband ice idea image import in inch include index infer
    inference ingest ingestion ingress inner input insert inside install instant instead intent
    internal internet invest issue istio item jaeger january jet job join joint joke journal judge
    july jump june junior jupyter just kafka keen keep keeper kernel key keyboard kibana kick kid
    kill kind king kitchen knee knew knife know knowledge label labs lack lady lake lambda lamp
    land lane language laptop large last late laugh launch law layer lazy lead leader leaf learn
    learning leave lecture left leg legal lens lesson letter level library license lie life lift
    lily limit line link lion list listen live liver loader loan lobby log logger logging logic
    loki lonely look loop lord loss lost loud lunch machine made mail main maker male mall man
    manage manager map march mark market mask mass master match mate math matter may mayor meal
    mean meaning meat media medical meet meeting melt member memcached memo mention menu mere mess
    message metal meter method metric metrics middle might migrate mild mile milk mill milvus mind
    mine miner minio minor minute mirror miss mix mobile mode model modern module moment monday
    mongo mongodb monitor month mood moon more morning most mother motion motor mount mouse mouth
    move movie much music must mysql nail naked name narrow nation native nats nature near neat
    neck net never new news next nginx nice night nine noble nobody node nope north nose not note
    notebook notebooks nothing notice novel november now number nurse object ocean october odd
    offer office offset often oil old once online onto open opensearch operator option orange
    order ordinary organ origin other ought out outer output oven over override owner pace pack
    package packer page pain paint pair palm panel paper parameter parent park parser part partner
    party pass password past patch path patient pattern pause pay payment peace pen people pepper
    per period person pgvector phase phone photo piano picture piece pile pilot pin pink pipe
    pipeline pizza plan plane planet planner plant plate play player playground please plenty plus
    poem poet point pole police policy polite poll pool poor pop port portal position post
    postgres postprocessing pound pour power praise pray preempt preemption prefill prefix
    preprocessing press pretty previous primary prime print prior priority prison prize probe
    problem process prod produce product production profile program project prometheus promise
    prompt proof prop proud prove proxy public pull pump punch pupil pure push put qdrant quality
    quarter queen query question queue quick quit quote rabbit rabbitmq race radio rail rain raise
    ran range rank rare rate raw ray reach react read reader ready real record recover red redis
    refuse regex relay release rent repair repeat replica-set reply repo report reporting reports
    request reranker reset resize rest restart result retail retriever retry return reward rice
    ride ring rise risk river road robot rock role roll roof root rope rose rough round route
    router row royal rule ruler run runner rush sad safe sail salad salary sale salt same sample
    sampler sand sandbox sat save saver say scale scan scene schedule scheduling school science
    score scorer scrape screen script sea search season seat second secret secrets section secure
    see seed seek select sell send senior sense sensor sentence september serial serious serve
    server service session set settle seven shadow shake shall shape sharp sheep sheet shelf shell
    shift shine ship shirt shock shoe shoot shop shore short shot should shoulder shout show
    shower shut shy sick side sidecar sign signal silver simple since sing single sink sister site
    six size skill skin sky sleep slice slide slip slow small smart smile smoke smooth snow soap
    social sock socket soft soil soldier some song soon sorry sort soul sound soup source south
    spark speak spec speech speed spell spend spin spirit split sport spread spreader spring sql
    square staff stage staging stair stamp stand standby star start state station status stay
    steal steam steel stem step stick still stock stone stop store storm story straight strange
    stream street stress strict string strong student studio study stuff style subject such sudden
    sudo suffer sugar suit summer sun sunday super supply sure surface swap sweet swim switch
    symbol sync system table tables tail taint taints take tale talk tall tank tap task taste tax
    tea teach teacher team tear tech tell ten tenant tennis tent term test tester testing text
    than thank that the theme then theory there thick thin thing think third this those thread
    three throw thursday ticket tide tie tiger tight tiles time tin tiny tip title to today toe
    together token tokenizer tokens told toleration tolerations tone tonight took tool tooth top
    torch total touch tough tour tower town toy trace tracing track tracker trade traffic train
    trainer training transcoder transcoding transport trash travel tree trend trial trick tried
    trigger trip triton truck true trust truth try tuesday tune turn twelve twenty twin type ugly
    uncle under union unit until up update upload uploader upper urban url usage use user usual
    vacuum valley value van vault vector vendor verb very video view village virus visit vllm
    voice vote wait wake walk wall want war warm warn wash waste watch water wave way weak wealth
    wear weather weaviate web webhook wednesday week weight welcome well went were west wet wget
    what wheat wheel when where which while white who whole whom why wide wife wild will win wind
    window wine wing winter wire wise wish with woman wonder wood word wore work worker world
    worry worse worst worth would wound wrap write writer wrong yard year yellow yes yesterday yet
    you young zero zookeeper
    """
)
