/**
 * The shapes the modules hand to each other; nothing here runs.
 *
 * @typedef {[x: number, y: number, width: number, height: number]} Bbox image frame, pixels
 *
 * @typedef {Object} Rle COCO's compressed run lengths over the whole image, column by column
 * @property {[height: number, width: number]} size
 * @property {string} counts
 *
 * @typedef {Object} RleCrop the same over a window of the image that holds all of the mask
 * @property {[height: number, width: number]} size
 * @property {string} counts
 * @property {[x: number, y: number]} offset
 *
 * @typedef {Object} Polygon inside is what an odd number of rings goes around
 * @property {number[][]} rings each x, y, x, y, ... of its corners
 *
 * @typedef {Object} Instance
 * @property {string} label
 * @property {number} category_id
 * @property {number} score
 * @property {Bbox} bbox
 * @property {number | null} [area]
 * @property {Rle | RleCrop | Polygon | null} [segmentation]
 * @property {number} [track_id] the same through the frames of a stream
 *
 * @typedef {Object} BackendInfo
 * @property {string} runtime
 * @property {string} runtime_version
 * @property {string} precision
 * @property {number} threads
 * @property {string[]} asked
 * @property {string[]} in_effect
 *
 * @typedef {Object} Answer what POST /v1/segment returns
 * @property {{height: number, width: number}} image
 * @property {Instance[]} instances best score first
 * @property {string} model
 * @property {string} version
 * @property {BackendInfo} backend
 * @property {Record<string, number>} timings_ms by stage, and their total
 * @property {number} [frame_id] of a stream
 * @property {StreamEvent[]} [events] of a stream, those of this frame
 * @property {Record<string, ZoneCount>} [zones] of a stream, by the names of its zones
 * @property {Record<string, LineCount>} [lines] of a stream, by the names of its lines
 *
 * @typedef {Record<string, number>} Counts by label
 * @typedef {{present: Counts, entered: Counts}} ZoneCount
 * @typedef {{in: Counts, out: Counts}} LineCount
 *
 * @typedef {Object} StreamEvent
 * @property {"new" | "updated" | "gone" | "entered" | "left" | "crossed"} event
 * @property {number} time_s of the stream's clock
 * @property {number} track_id
 * @property {string} label
 * @property {string} [zone]
 * @property {string} [line]
 * @property {"in" | "out"} [direction]
 * @property {number} [seconds] in sight, or in the zone
 *
 * @typedef {"zone" | "line" | "ignored"} PlaceKind
 *
 * @typedef {Object} Place a part of the picture whose events are of interest, or that is ignored
 * @property {PlaceKind} kind
 * @property {string} name
 * @property {Point[]} points
 * @property {string} classes labels with commas between them; "": all
 *
 * @typedef {[x: number, y: number]} Point in shares of the picture's width and height
 *
 * @typedef {Object} Model one entry of GET /v1/models
 * @property {string} name
 * @property {string} version
 * @property {string[]} labels
 * @property {{height: number, width: number}} input of the network
 * @property {number} score_threshold what the server uses when the request gives none
 * @property {BackendInfo} backend
 *
 * @typedef {"rle" | "rle_crop" | "polygon" | "contour" | "none"} MaskFormat
 *
 * @typedef {Object} Picture what was segmented
 * @property {Blob} blob
 * @property {string} name
 * @property {boolean} [made] whether the visitor has no such file: from the webcam, the clipboard or this page
 *
 * @typedef {[x: number, y: number][]} Ring a closed outline, image frame
 *
 * @typedef {Object} Failure
 * @property {string} title
 * @property {string} detail
 * @property {(() => unknown) | null} again does what failed once more; null where that would not help
 *
 * @typedef {Object} State
 * @property {readonly Model[]} models the default first
 * @property {Model | null} model
 * @property {MaskFormat} masks
 * @property {string} tiles "auto", or the most tiles of a picture; "": none
 * @property {"empty" | "busy" | "ready" | "failed"} phase
 * @property {Failure | null} failure
 * @property {Picture | null} picture
 * @property {boolean} visible whether this browser can show the picture itself
 * @property {Answer | null} answer
 * @property {number} roundTrip milliseconds from sending the picture to having the answer
 * @property {number} threshold
 * @property {ReadonlySet<string>} hidden labels the visitor switched off
 * @property {Readonly<Record<Layer, boolean>>} layers
 * @property {number | null} hovered index into the answer's instances
 * @property {number | null} pinned index into the answer's instances
 * @property {number | null} followed identity of what was pinned in a stream; it may be out of sight
 * @property {LiveFrame | null} live the frame that `answer` belongs to, while the webcam or a video runs
 * @property {{file: File, paused: boolean} | null} clip the video that plays, or has played to its end
 * @property {readonly Place[]} places
 * @property {{kind: PlaceKind, points: Point[]} | null} draft the place that is being drawn
 * @property {readonly StreamEvent[]} events of the stream, the newest first
 * @property {Pick<Answer, "zones" | "lines"> | null} counts of the stream after its last frame
 * @property {Other | null} other what another model finds in the same picture
 * @property {readonly Entry[]} history the pictures of this visit, the oldest first
 *
 * @typedef {{model: Model, answer: Answer | null}} Other
 *
 * @typedef {Object} Entry
 * @property {Picture} picture
 * @property {Answer} answer
 * @property {number} roundTrip
 * @property {Model | null} model
 * @property {MaskFormat} masks
 *
 * @typedef {"masks" | "boxes" | "labels"} Layer
 *
 * @typedef {Object} LiveFrame
 * @property {ImageBitmap} bitmap
 * @property {number} time seconds of the webcam's or the video's clock
 * @property {number} fps
 * @property {number} age milliseconds from the capture to the answer
 */

export {};
