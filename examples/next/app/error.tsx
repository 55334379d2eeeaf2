'use client';

/** Strapi could not be reached. That is not a sign-out. */
export default function Failure() {
  return (
    <>
      <p role="alert">Please try again in a moment.</p>
      <button onClick={() => location.reload()}>Try again</button>
    </>
  );
}
