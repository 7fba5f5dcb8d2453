import { Type } from "typebox";

/** Of a list that is read page by page. */
export const pageQuery = {
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 100, description: "Of a page; 50 if not given." })),
  cursor: Type.Optional(
    Type.String({ minLength: 1, maxLength: 200, description: "`next_cursor` of the page before; the first page if not given." }),
  ),
};

export const pageFields = {
  next_cursor: Type.Union([Type.String(), Type.Null()], { description: "Gets the next page; null where there is none." }),
  seq: Type.Integer({
    minimum: 0,
    description: "The last event that is in here: with those after it (`GET /api/events`), a client stays up to date.",
  }),
};
